import { Context } from "effect"

/** Where sealed sessions are kept. Rejects when it cannot be reached. */
export class SessionStore extends Context.Service<SessionStore, {
  /** `owner` is a keyed digest of whose session it is. Nothing is kept, and what was there goes, where the owner's sessions were ended. */
  readonly set: (key: string, value: Uint8Array, ttlMilliseconds: number, owner: string | null) => Promise<void>
  /** Null where there is none, or no longer. */
  readonly get: (key: string) => Promise<Uint8Array | null>
  /** False where there was none. */
  readonly delete: (key: string) => Promise<boolean>
  /** Ends all sessions of an owner, and answers how many; those that come within the next milliseconds are not kept. */
  readonly end: (owner: string, refusedMilliseconds: number) => Promise<number>
}>()("holdfast/sessions/SessionStore") {}
