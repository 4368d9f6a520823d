import { Effect, Layer } from "effect"
import { SessionStore } from "../../domain/sessions/SessionStore.ts"

const SWEEP = "1 minute"

/** Sessions of one process; they go with it. */
export const layerMemorySessionStore = Layer.effect(SessionStore, Effect.gen(function*() {
  const held = new Map<string, { readonly value: Uint8Array; readonly until: number }>()
  const living = (key: string) => {
    const one = held.get(key)
    return one !== undefined && one.until > performance.now() ? one : null
  }
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(SWEEP), Effect.sync(() => {
    for (const key of held.keys()) if (living(key) === null) held.delete(key)
  }))))
  return SessionStore.of({
    set: async (key, value, ttlMilliseconds) => void held.set(key, { value, until: performance.now() + ttlMilliseconds }),
    get: async (key) => living(key)?.value ?? null,
    delete: async (key) => living(key) !== null && held.delete(key)
  })
}))
