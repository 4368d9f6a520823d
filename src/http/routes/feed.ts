import { Effect, Semaphore } from "effect"
import type { Kind } from "../../domain/Kind.ts"
import { HistoryPruned, Outbox } from "../../domain/ledger/Outbox.ts"
import type { Recorded } from "../../domain/ledger/Outbox.ts"
import { formatPosition, parsePosition } from "../../domain/ledger/Position.ts"
import type { Position } from "../../domain/ledger/Position.ts"
import { shows } from "../../domain/ledger/Snapshot.ts"
import { Log } from "../../domain/observe/Log.ts"
import type { Exchange } from "../Exchange.ts"
import { changesOperation } from "../openapi/open.ts"
import { HttpProblem, refusalOf } from "../problems.ts"
import { position, positionOf, queryOf } from "../query.ts"
import { NO_STORE } from "../respond.ts"
import type { Reply } from "../respond.ts"
import type { Route } from "../route.ts"

const POLL = 100
const COMMENT_EVERY = 15_000
const PIECE = 500
/** A listener that leaves so many pieces unread is closed, and resumes by its id. */
const MOST_UNREAD = 8
/** So many listeners are brought their news at a time: a thousand who hear of the same change must not keep writes from a connection. */
const LANE = 2

const beginning = { after: position }

const utf8 = new TextEncoder()

const eventOf = (record: Recorded): string => {
  const position = formatPosition(record.position)
  const data = { position, kind: record.kind, id: record.id, versionId: record.version, type: record.event.type }
  return `id: ${position}\nevent: change\ndata: ${JSON.stringify(data)}\n\n`
}

/**
 * `GET /v1/changes`: the log as server-sent events, in order of position. Only what is below the fence is sent: above it a
 * transaction may still commit an earlier position. One look for all listeners says whether there is anything new.
 */
export const feedRoutes = (kinds: readonly Kind[]) =>
  Effect.gen(function*() {
    const outbox = yield* Outbox, log = yield* Log
    const run = Effect.runPromiseWith(yield* Effect.context<never>())
    const listeners = new Set<() => void>()
    const closers = new Set<() => void>()
    const lane = Semaphore.makeUnsafe(LANE)
    let fence = ""

    const watch = Effect.gen(function*() {
      if (closers.size === 0) return
      const now = formatPosition((yield* outbox.end).position)
      if (now === fence) return
      fence = now
      for (const wake of listeners) wake()
      listeners.clear()
    })
    // Whatever Postgres says, also of a schema that is just being restored: the next look may succeed.
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.exit(watch), Effect.sleep(POLL))))
    const stream = (wanted: readonly string[], from: Position, isNew: (record: Recorded) => boolean): ReadableStream<Uint8Array> => {
      let open = true, after = from
      let close: () => void, wakeUp: () => void, comment: NodeJS.Timeout | undefined
      /** The pump may wait long for its end. Until then a comment would keep the process alive, or, to one who hung up, end it. */
      const silence = () => {
        open = false
        closers.delete(close)
        clearInterval(comment)
      }
      return new ReadableStream<Uint8Array>({
        start: (controller) => {
          close = () => {
            if (!open) return
            silence()
            controller.close()
          }
          closers.add(close)
          controller.enqueue(utf8.encode(": listening\n\n"))
          comment = setInterval(() => controller.enqueue(utf8.encode(": still here\n\n")), COMMENT_EVERY)
          const pump = async () => {
            while (open) {
              const passed = fence
              const moved = new Promise<void>((wake) => {
                wakeUp = wake
                listeners.add(wake)
              })
              const records = await run(lane.withPermit(outbox.feed(wanted, after, PIECE)))
              if (!open) break
              if (records.length > 0) after = records.at(-1)!.position
              // Nothing for this listener is below the fence any more: what is pruned there is none of his.
              else if (passed > formatPosition(after)) after = parsePosition(passed)!
              const news = records.filter(isNew)
              if (news.length > 0) controller.enqueue(utf8.encode(news.map(eventOf).join("")))
              if (controller.desiredSize! < -MOST_UNREAD) close()
              if (records.length < PIECE && open) await moved
            }
          }
          // Closed without a word: the listener comes back with the id of its last event.
          pump().catch((error) => log.warn("A listener of the changes was closed", { cause: String(error) })).finally(() => close())
        },
        cancel: () => {
          silence()
          listeners.delete(wakeUp)
          wakeUp()
        }
      })
    }

    /** A listener that comes back repeats its URL, so the id of its last event counts before `after`. */
    const lastOf = ({ c }: Exchange): Position | null => {
      const last = c.req.header("last-event-id")
      const at = last === undefined ? null : positionOf(last)
      if (last !== undefined && at === null) throw new HttpProblem("malformed", "Last-Event-ID must be a position, or 0 for the oldest.")
      return at
    }

    const everything = () => true
    /** Now: nothing that was committed before is told, though below it a transaction may be open that is to be told of. */
    const now = async () => {
      const { position, snapshot } = await run(outbox.end)
      return { position, isNew: (record: Recorded) => record.position.epoch !== position.epoch || !shows(snapshot, record.position.transaction) }
    }
    const oldestKept = (asked: Position, pruned: Position | null): Position => {
      if (pruned === null || formatPosition(asked) >= formatPosition(pruned)) return asked
      if (asked.epoch > 0) throw refusalOf(new HistoryPruned())
      return pruned
    }

    const listen = async (exchange: Exchange): Promise<Reply> => {
      const { principal } = exchange
      const asked = lastOf(exchange) ?? queryOf(exchange, beginning).after
      const from = asked === null ? await now() : { position: oldestKept(asked, await run(outbox.pruned)), isNew: everything }
      const wanted = kinds.filter(({ scope }) => principal.scopes.has(`${scope}:read`)).map(({ name }) => name)
      return {
        status: 200,
        headers: { "Content-Type": "text/event-stream", "Cache-Control": NO_STORE, "X-Accel-Buffering": "no" },
        // Nobody would read it, or hang up.
        body: exchange.c.req.method === "HEAD" ? null : stream(wanted, from.position, from.isNew)
      }
    }
    return {
      routes: [{ method: "GET", path: "/v1/changes", scopes: ["changes:read"], about: changesOperation(beginning), handle: listen }] satisfies readonly Route[],
      close: () => { for (const close of closers) close() }
    }
  })
