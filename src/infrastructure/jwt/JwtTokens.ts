import { Effect, Layer } from "effect"
import { jwtVerify } from "jose"
import { SCOPES } from "../../domain/access/ApiKeys.ts"
import type { Principal } from "../../domain/access/ApiKeys.ts"
import { IssuedTokens } from "../../domain/access/IssuedTokens.ts"
import { Identifiers } from "../../domain/Identifiers.ts"
import { Log } from "../../domain/observe/Log.ts"
import { issuerKeys } from "./IssuerKeys.ts"
import type { IssuerKeysOptions } from "./IssuerKeys.ts"

export interface JwtOptions extends IssuerKeysOptions {
  readonly issuer: string
  readonly audience: string
  /** How often the keys are asked for without a reason: what the issuer has withdrawn is refused after that. 5 minutes if not said. */
  readonly refreshMilliseconds?: number
}

// Signatures by a private key alone: with a shared secret, whoever can verify can issue.
const ALGORITHMS = ["RS256", "ES256", "EdDSA"]
/** To verify a signature takes longer than a cached read: so many tokens are remembered until they expire, or the keys change. */
const MOST_REMEMBERED = 1_000

interface Remembered { readonly principal: Principal; readonly expires: number }

const scopesOf = (scope: unknown): ReadonlySet<string> => {
  const named = typeof scope === "string" ? scope.split(" ") : []
  return new Set(SCOPES.filter((known) => named.includes(known)))
}

/** JWTs of one issuer, verified by its published keys. */
export const layerJwtTokens = ({ issuer, audience, refreshMilliseconds = 300_000, ...options }: JwtOptions) =>
  Layer.effect(IssuedTokens, Effect.gen(function*() {
    const log = yield* Log, { authenticate } = yield* Identifiers
    const remembered = new Map<string, Remembered>()
    const { keyOf, refresh } = issuerKeys(options, log, () => remembered.clear())
    // The start does not wait for the issuer; the first token does.
    void refresh()
    yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.promise(refresh), refreshMilliseconds)))

    // A subject may be a person: what is logged and kept of it cannot be turned back without the installation's secret.
    const idOf = (subject: string) => `jwt_${Buffer.from(authenticate(Buffer.from(JSON.stringify(["jwt", issuer, subject])))).toString("hex")}`

    const verify = async (text: string): Promise<Remembered> => {
      const { payload } = await jwtVerify<{ readonly exp: number }>(text, keyOf, {
        algorithms: ALGORITHMS, issuer, audience, requiredClaims: ["sub", "exp"]
      })
      const { sub } = payload
      if (typeof sub !== "string" || sub === "") throw new Error("a subject is a text")
      return { principal: { id: idOf(sub), scopes: scopesOf(payload["scope"]) }, expires: payload.exp * 1_000 }
    }

    return IssuedTokens.of({
      authenticate: async (text) => {
        const known = remembered.get(text)
        if (known !== undefined && Date.now() < known.expires) return known.principal
        try {
          const verified = await verify(text)
          if (remembered.size >= MOST_REMEMBERED) remembered.clear()
          remembered.set(text, verified)
          return verified.principal
        } catch {
          // Why is told to nobody: a caller could learn from it.
          return null
        }
      }
    })
  }))
