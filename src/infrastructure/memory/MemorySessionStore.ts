import { Layer } from "effect"
import { SessionStore } from "../../domain/sessions/SessionStore.ts"

const FEW = 1_000

/** Sessions of one process; they go with it. Expired ones are cleared out whenever there are twice as many as were living. */
export const layerMemorySessionStore = Layer.sync(SessionStore, () => {
  const held = new Map<string, { readonly value: Uint8Array; readonly until: number }>()
  let enough = FEW
  const living = (key: string) => {
    const one = held.get(key)
    return one !== undefined && one.until > performance.now() ? one : null
  }
  const clear = () => {
    for (const key of held.keys()) if (living(key) === null) held.delete(key)
    enough = Math.max(FEW, 2 * held.size)
  }
  return SessionStore.of({
    set: async (key, value, ttlMilliseconds) => {
      if (held.size >= enough) clear()
      held.set(key, { value, until: performance.now() + ttlMilliseconds })
    },
    get: async (key) => living(key)?.value ?? null,
    delete: async (key) => living(key) !== null && held.delete(key)
  })
})
