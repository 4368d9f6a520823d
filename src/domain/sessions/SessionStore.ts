import { Context } from "effect"

/** Where sealed sessions are kept. Rejects when it cannot be reached. */
export class SessionStore extends Context.Service<SessionStore, {
  readonly set: (key: string, value: Uint8Array, ttlMilliseconds: number) => Promise<void>
  /** Null where there is none, or no longer. */
  readonly get: (key: string) => Promise<Uint8Array | null>
  /** False where there was none. */
  readonly delete: (key: string) => Promise<boolean>
}>()("holdfast/sessions/SessionStore") {}
