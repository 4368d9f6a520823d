import { Clock, Context, Effect, Layer } from "effect"
import { CacheAccess } from "../cache/CacheAccess.ts"
import { Identifiers } from "../Identifiers.ts"

/** What a principal has left of the second that runs. */
export interface Quota { readonly allowed: boolean; readonly limit: number; readonly remaining: number }

// Longer than the second that it counts, for processes whose clocks are behind.
const LIFE = 5_000

const utf8 = new TextEncoder()

/**
 * How many requests a principal may send in a second, over all processes: counted in the cache that they share. While that
 * is away each process counts for itself, so that no request waits for it or fails by it.
 */
export class RateLimiter extends Context.Service<RateLimiter, {
  /** One request more of a principal. Null where nothing is limited. */
  readonly take: ((principal: string) => Promise<Quota>) | null
}>()("holdfast/access/RateLimiter") {
  /** Null for as many as they like. */
  static readonly layer = (perSecond: number | null) =>
    perSecond === null ? Layer.succeed(RateLimiter, RateLimiter.of({ take: null })) : Layer.effect(RateLimiter, Effect.map(limitedTo("rate", perSecond), (take) => RateLimiter.of({ take })))
}

/** Counts under a name of its own: what is limited apart takes nothing from the others. */
export const limitedTo = (name: string, limit: number) =>
  Effect.gen(function*() {
    const access = yield* CacheAccess, { authenticate } = yield* Identifiers, clock = yield* Clock.Clock
    const here = new Map<string, number>()
    let counted = 0

    const countHere = (principal: string, second: number): number => {
      if (second !== counted) {
        here.clear()
        counted = second
      }
      const count = (here.get(principal) ?? 0) + 1
      here.set(principal, count)
      return count
    }

    return async (principal: string): Promise<Quota> => {
      const second = Math.floor(clock.currentTimeMillisUnsafe() / 1_000)
      // Who asks for what stays unknown to whoever looks into the cache.
      const digest = Buffer.from(authenticate(utf8.encode(`${name}\0${principal}`))).toString("hex")
      const count = await access.count(`hf-rate:${digest}:${second}`, LIFE) ?? countHere(principal, second)
      return { allowed: count <= limit, limit, remaining: Math.max(0, limit - count) }
    }
  })
