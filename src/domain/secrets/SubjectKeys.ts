import { Context } from "effect"
import type { Effect } from "effect"
import type { DatabaseUnavailable } from "../ledger/Ledger.ts"

/** One person's data key. What is sealed is bound to its place: it opens only with the same associated text. AES-256-GCM: 12 bytes nonce, the ciphertext, 16 tag. */
export interface SubjectKey {
  readonly seal: (plain: Uint8Array, associated: string) => Uint8Array
  /** Null where it was altered, cut or moved. */
  readonly open: (sealed: Uint8Array, associated: string) => Uint8Array | null
}

/** `unreadable`: the keys are not in the backup of the data, so an erasure reaches it. `keys-share-backup`: they are, and it does not. */
export type Backups = "unreadable" | "keys-share-backup"

/** What a database declares that cannot promise more. */
export const NOT_IN_BACKUPS = "erasure: not in backups"

type Access<A> = Effect.Effect<A, DatabaseUnavailable>

/** The data keys of persons, wrapped by the keyring. Whoever destroys one makes everything that it sealed unreadable, wherever a copy is. */
export class SubjectKeys extends Context.Service<SubjectKeys, {
  readonly backups: Backups
  /** A person's key, made if there is none. Null for a person who was erased. */
  readonly make: (subject: string) => Access<SubjectKey | null>
  /** Null where there is none (any more). Unwrapped keys are kept for 60 s at most. */
  readonly find: (subject: string) => Access<SubjectKey | null>
  /** Whether the person was erased. False of one who never was. */
  readonly isErased: (subject: string) => Access<boolean>
  /** Takes the key back of somebody who was not registered after all. */
  readonly discard: (subject: string) => Access<void>
  /** Destroys the key for good and remembers that; can be repeated. */
  readonly destroy: (subject: string) => Access<void>
  /** Persons who were erased, in order of id: for a database that was restored to a time before. */
  readonly erased: (after: string | null, limit: number) => Access<readonly string[]>
  /** This process keeps no key that it kept: the database may have lost it. */
  readonly forget: () => void
}>()("holdfast/secrets/SubjectKeys") {}
