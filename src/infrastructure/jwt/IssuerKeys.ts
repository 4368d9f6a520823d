import { createLocalJWKSet, errors } from "jose"
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose"
import type { Log } from "../../domain/observe/Log.ts"

export interface IssuerKeysOptions {
  readonly url: string
  /** How often, at most, keys are asked for because a token names one that is not known. 10 s if not said. */
  readonly cooldownMilliseconds?: number
  /** 2 s if not said. */
  readonly timeoutMilliseconds?: number
}

/** The public keys of an issuer. While it cannot be asked, the last ones stay. */
export interface IssuerKeys {
  /** The key that a token names. Rejects where the issuer has none of that name. */
  readonly keyOf: JWTVerifyGetKey
  /** Asks for the keys; never rejects. */
  readonly refresh: () => Promise<void>
}

/** `changed` is called whenever the issuer has said which keys it has. */
export const issuerKeys = ({ url, cooldownMilliseconds = 10_000, timeoutMilliseconds = 2_000 }: IssuerKeysOptions, log: Log["Service"], changed: () => void): IssuerKeys => {
  let keys = createLocalJWKSet({ keys: [] })
  let asked = -cooldownMilliseconds, answered: Promise<void> = Promise.resolve()

  const fetchKeys = async (): Promise<JSONWebKeySet> => {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMilliseconds), redirect: "error", headers: { accept: "application/json" } })
    if (!response.ok) throw new Error(`status ${response.status}`)
    return await response.json() as JSONWebKeySet
  }
  const ask = async (): Promise<void> => {
    try {
      keys = createLocalJWKSet(await fetchKeys())
      changed()
    } catch (error) {
      log.warn("The keys of the JWT issuer cannot be had; the last ones stay", { cause: String(error) })
    }
  }
  const refresh = (): Promise<void> => {
    asked = performance.now()
    return answered = ask()
  }

  return {
    refresh,
    keyOf: async (header, token) => {
      try {
        return await keys(header, token)
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
        if (performance.now() - asked >= cooldownMilliseconds) void refresh()
        await answered
        return keys(header, token)
      }
    }
  }
}
