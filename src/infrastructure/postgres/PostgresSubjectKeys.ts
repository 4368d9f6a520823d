import { randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import { Log } from "../../domain/observe/Log.ts"
import { Keyring } from "../../domain/secrets/Keyring.ts"
import { SubjectKeys } from "../../domain/secrets/SubjectKeys.ts"
import type { SubjectKey } from "../../domain/secrets/SubjectKeys.ts"
import { dataKey } from "./dataKey.ts"
import { checkSubjectKeys } from "./migrate.ts"
import { Postgres } from "./Postgres.ts"
import type { Statement, Values } from "./Postgres.ts"

export interface PostgresSubjectKeysOptions {
  readonly url: string
  /** Whether that is a database of its own, which the backup of the data does not have. */
  readonly apart: boolean
  /** For how long an unwrapped key is kept, in milliseconds: so long another process may still read an erased person. */
  readonly keptMilliseconds?: number
  /** How many are kept. */
  readonly most?: number
}

const BYTES = 32
const PURPOSE = "subject key"

/** Unwrapped keys, the latest used last; each for a limited time from when it was asked for. */
const keptKeys = (milliseconds: number, most: number) => {
  const held = new Map<string, { readonly key: SubjectKey; readonly until: number }>()
  let dropped = 0
  return {
    get: (subject: string): SubjectKey | null => {
      const one = held.get(subject)
      if (one === undefined) return null
      held.delete(subject)
      if (one.until <= performance.now()) return null
      held.set(subject, one)
      return one.key
    },
    /** From before the database is asked: what is destroyed meanwhile is not kept. */
    ask: () => ({ until: performance.now() + milliseconds, dropped }),
    set: (subject: string, key: SubjectKey, asked: { readonly until: number; readonly dropped: number }) => {
      if (asked.dropped !== dropped) return
      held.set(subject, { key, until: asked.until })
      if (held.size > most) held.delete(held.keys().next().value!)
    },
    drop: (subject: string) => {
      dropped++
      held.delete(subject)
    },
    dropAll: () => {
      dropped++
      held.clear()
    }
  }
}

const make = ({ apart, keptMilliseconds = 60_000, most = 10_000 }: PostgresSubjectKeysOptions) =>
  Effect.gen(function*() {
    const postgres = yield* Postgres, keyring = yield* Keyring
    yield* checkSubjectKeys({ apart })
    const kept = keptKeys(keptMilliseconds, most)
    // Of their own database; of a new life of the data `forget` tells.
    postgres.onAnotherServer(kept.dropAll)

    const unwrap = (subject: string, wrapped: Uint8Array): Effect.Effect<SubjectKey> => {
      const bytes = keyring.open(PURPOSE, wrapped, subject)
      // Not erased, and so never to be taken for that.
      return bytes === null ? Effect.die(new Error("the key of a person does not open: another keyring has wrapped it, or it was moved")) : Effect.sync(() => dataKey(bytes))
    }

    // Every statement can be repeated, so a reply that was lost is as none.
    const ask = (statement: Statement, values: Values) => postgres.read(statement, values)

    const keyOf = Effect.fnUntraced(function*(subject: string, statement: Statement, values: Values) {
      const asked = kept.ask()
      const [columns] = yield* ask(statement, [subject, ...values])
      const wrapped = (columns?.["wrapped"] ?? null) as Uint8Array | null
      if (wrapped === null) return null
      const key = yield* unwrap(subject, wrapped)
      kept.set(subject, key, asked)
      return key
    })
    const orKept = <E>(subject: string, otherwise: Effect.Effect<SubjectKey | null, E>) =>
      Effect.suspend(() => {
        const key = kept.get(subject)
        return key === null ? otherwise : Effect.succeed(key)
      })
    // Also where the database did not say whether it is gone.
    const forgetting = (subject: string, statement: Statement) =>
      Effect.asVoid(ask(statement, [subject])).pipe(Effect.ensuring(Effect.sync(() => kept.drop(subject))))

    return SubjectKeys.of({
      backups: apart ? "unreadable" : "keys-share-backup",
      make: (subject) => orKept(subject, Effect.suspend(() => keyOf(
        subject,
        { name: "subject keys.make", text: "select make_subject_key($1, $2) as wrapped" },
        [keyring.seal(PURPOSE, randomBytes(BYTES), subject)]
      ))),
      find: (subject) => orKept(subject, keyOf(subject, { name: "subject keys.find", text: "select wrapped from subject_keys where subject = $1" }, [])),
      isErased: (subject) => Effect.map(ask({ name: "subject keys.erased", text: "select from erased_subjects where subject = $1" }, [subject]), ({ length }) => length > 0),
      discard: (subject) => forgetting(subject, { name: "subject keys.discard", text: "delete from subject_keys where subject = $1" }),
      destroy: (subject) => forgetting(subject, { name: "subject keys.destroy", text: "select destroy_subject_key($1)" }),
      // What was kept, and the way there: to the server of before, where that is there still.
      forget: () => {
        kept.dropAll()
        postgres.renew()
      },
      erased: (after, limit) => Effect.map(
        ask({
          name: "subject keys.list",
          text: "select subject from erased_subjects where subject > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000') order by subject limit $2"
        }, [after, limit]),
        (rows) => rows.map((columns) => columns["subject"] as string)
      )
    })
  })

// Few ask: an unwrapped key serves a process for a minute.
const CONNECTIONS = 4

/**
 * The keys of persons in Postgres, over a pool of their own: a key that was made stays made whatever becomes of the
 * transaction for which it was wanted, and nobody who holds a connection waits here for a second one of the same pool.
 */
export const layerPostgresSubjectKeys = (options: PostgresSubjectKeysOptions) => {
  const named = Layer.effect(Log, Effect.map(Log, (log) => {
    const at = (level: keyof Log["Service"]): Log["Service"]["info"] => (message, fields) => log[level](message, { ...fields, database: "subject keys" })
    return Log.of({ debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") })
  }))
  return Layer.effect(SubjectKeys, make(options)).pipe(
    Layer.provide(Postgres.layer({ url: options.url, poolMax: CONNECTIONS }).pipe(Layer.provide(named)))
  )
}
