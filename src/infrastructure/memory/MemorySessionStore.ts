import { Layer } from "effect"
import { SessionStore } from "../../domain/sessions/SessionStore.ts"

const FEW = 1_000

/** Sessions of one process; they go with it. Expired ones are cleared out whenever there are twice as many as were living. */
export const layerMemorySessionStore = Layer.sync(SessionStore, () => {
  const held = new Map<string, { readonly value: Uint8Array; readonly until: number; readonly owner: string | null }>()
  /** Owners whose sessions were ended, and until when theirs are refused. */
  const ended = new Map<string, number>()
  let enough = FEW
  const living = (key: string) => {
    const one = held.get(key)
    return one !== undefined && one.until > performance.now() ? one : null
  }
  const isEnded = (owner: string) => ended.get(owner)! > performance.now()
  const clear = () => {
    for (const key of held.keys()) if (living(key) === null) held.delete(key)
    for (const owner of ended.keys()) if (!isEnded(owner)) ended.delete(owner)
    enough = Math.max(FEW, 2 * held.size)
  }
  const remove = (key: string) => living(key) !== null && held.delete(key)
  return SessionStore.of({
    set: async (key, value, ttlMilliseconds, owner) => {
      if (held.size >= enough) clear()
      if (owner !== null && isEnded(owner)) remove(key)
      else held.set(key, { value, until: performance.now() + ttlMilliseconds, owner })
    },
    get: async (key) => living(key)?.value ?? null,
    delete: async (key) => remove(key),
    end: async (owner, refusedMilliseconds) => {
      ended.set(owner, performance.now() + refusedMilliseconds)
      return [...held].filter(([key, one]) => one.owner === owner && remove(key)).length
    }
  })
})
