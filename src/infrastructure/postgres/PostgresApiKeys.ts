import { hash, randomInt } from "node:crypto"
import { Effect, Layer, Semaphore } from "effect"
import { ApiKeys, SCOPES } from "../../domain/access/ApiKeys.ts"
import type { ApiKey, Principal } from "../../domain/access/ApiKeys.ts"
import { Postgres } from "./Postgres.ts"
import type { Columns } from "./Postgres.ts"

const SMALL = "abcdefghijklmnopqrstuvwxyz0123456789"
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + SMALL
const FORM = /^hf_[a-z0-9]{12}_[A-Za-z0-9]{32,64}$/
const ONCE_A_SECOND = 1_000

const random = (alphabet: string, length: number) => Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join("")

/**
 * Keys are found by their SHA-256. How long a look-up takes tells about the digest of what was sent, and nothing about
 * a key: whoever could use it would have to send a text of a wanted digest.
 */
const digestOf = (text: string) => hash("sha256", text, "hex")

const at = (column: string) => `to_char(${column} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${column}`

const keyOf = (columns: Columns): ApiKey => ({
  id: columns["id"],
  name: columns["name"],
  scopes: columns["scopes"],
  createdAt: columns["created_at"],
  revokedAt: columns["revoked_at"]
})

export interface ApiKeyOptions {
  /** A key with every scope that stands in no table; null where there is none. */
  readonly bootstrapKey: string | null
  /** Whether `dev` is a key with every scope. Who may use it from where is for HTTP to say. */
  readonly devKey: boolean
}

export const layerPostgresApiKeys = ({ bootstrapKey, devKey }: ApiKeyOptions) =>
  Layer.effect(ApiKeys, Effect.gen(function*() {
    const postgres = yield* Postgres
    const withEveryScope = (id: string, text: string): [string, Principal] => [digestOf(text), { id, scopes: new Set(SCOPES) }]
    const fixed = [
      ...bootstrapKey === null ? [] : [withEveryScope("bootstrap", bootstrapKey)],
      ...devKey ? [withEveryScope("dev", "dev")] : []
    ]
    let principals = new Map(fixed)

    const oneAtATime = Semaphore.withPermits(yield* Semaphore.make(1), 1)
    // One after the other, so that what was read earlier never replaces what was read later. While the database is away, or its schema, the old ones stay.
    const refresh = Effect.asVoid(oneAtATime(Effect.exit(Effect.map(
      postgres.read({ name: "keys.principals", text: "select id, scopes, encode(secret_hash, 'hex') as digest from api_keys where revoked_at is null" }, []),
      (rows) => {
        principals = new Map([...fixed, ...rows.map((row): [string, Principal] => [row["digest"], { id: row["id"], scopes: new Set(row["scopes"]) }])])
      }
    ))))
    yield* refresh
    yield* Effect.forkScoped(Effect.forever(Effect.delay(refresh, "5 seconds")))

    let asked = -ONCE_A_SECOND, answer = Promise.resolve()
    /** For a key that another process may just have made. */
    const lookAgain = () => {
      const now = performance.now()
      if (now - asked >= ONCE_A_SECOND) {
        asked = now
        answer = Effect.runPromise(refresh)
      }
      return answer
    }

    return ApiKeys.of({
      create: Effect.fn("ApiKeys.create")(function*(name, scopes) {
        const id = random(SMALL, 12), text = `hf_${id}_${random(ALPHABET, 43)}`
        yield* postgres.read({
          name: "keys.create",
          // Asked again where the connection had died, it may find its own row.
          text: "insert into api_keys (id, name, scopes, secret_hash) values ($1, $2, $3, decode($4, 'hex')) on conflict do nothing"
        }, [id, name, scopes, digestOf(text)])
        yield* refresh
        return { id, text }
      }),
      list: Effect.map(
        postgres.read({
          name: "keys.list",
          text: `select id, name, scopes, ${at("created_at")}, ${at("revoked_at")} from api_keys k order by k.created_at, id`
        }, []),
        (rows) => rows.map(keyOf)
      ),
      revoke: Effect.fn("ApiKeys.revoke")(function*(id) {
        const rows = yield* postgres.read({
          name: "keys.revoke",
          text: "update api_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null returning id"
        }, [id])
        yield* refresh
        return rows.length > 0
      }),
      authenticate: async (text) => {
        const digest = digestOf(text), known = principals.get(digest)
        if (known !== undefined || !FORM.test(text)) return known ?? null
        await lookAgain()
        return principals.get(digest) ?? null
      }
    })
  }))
