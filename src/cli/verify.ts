import { CommanderError, InvalidArgumentError, Option } from "commander"
import type { Command } from "commander"
import { Effect } from "effect"
import { kinds } from "../domain/kinds/kinds.ts"
import { Log } from "../domain/observe/Log.ts"
import { WRONGS } from "../domain/sync/verdictOf.ts"
import { VerificationRuns } from "../domain/sync/VerificationRuns.ts"
import type { Order } from "../domain/sync/VerificationRuns.ts"
import { lookedAt } from "../domain/sync/VerificationTally.ts"
import { layerRuns } from "../infrastructure/live.ts"
import { withDatabase } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"
import { rowOf } from "./rowOf.ts"

const LOOKS = "250 millis"
const row = rowOf(11, 8, 36)

const numberOf = (isOne: (n: number) => boolean, what: string) => (text: string): number => {
  const n = Number(text)
  if (text.trim() === "" || !isOne(n)) throw new InvalidArgumentError(what)
  return n
}

const CLASSES: { readonly [W in Order["work"]]: readonly string[] } = {
  verification: ["fine", "absent", ...WRONGS, "repaired"],
  cache: ["stood", "filled", "left"],
  rows: ["fine", "pruned", "different"]
}

/**
 * Asks a process of the service to do it, and waits: only the service reaches a cache that is in its memory, and what the
 * command line began goes on if it is stopped. Answers whether anything was wrong.
 */
const follow = (surroundings: Surroundings, order: Pick<Order, "work" | "kind" | "sample" | "repair">, patienceSeconds: number): Promise<boolean> =>
  withDatabase(surroundings, (located) => Effect.runPromise(Effect.gen(function*() {
    const runs = yield* VerificationRuns
    let run = yield* runs.start({ ...order, reason: "asked", actor: "command line" }), moved = performance.now()
    while (run.finishedAt === null) {
      yield* Effect.sleep(LOOKS)
      const now = yield* runs.find(run.id)
      if (now === null) return yield* Effect.fail(new Error(`Run ${run.id} is not there any more: the database has begun another life, and it was lost. Ask again.`))
      if (now.moves > run.moves) {
        moved = performance.now()
        surroundings.progress(`${lookedAt(now.tally)} looked at${now.place === null ? "" : `, at ${now.place.kind}`}`)
      } else if (performance.now() - moved > patienceSeconds * 1_000) {
        return yield* Effect.fail(new Error(
          `Nothing has been done for ${patienceSeconds} s: does a process relay, is the cache there, or is another run under way before it? Run ${run.id} goes on by itself; it can be followed over HTTP.`
        ))
      }
      run = now
    }
    const { counts, first } = run.tally
    for (const [name, found] of Object.entries(first)) {
      for (const { kind, id, fields } of found) surroundings.print(row(name, kind, id, (fields ?? []).join(", ")).trimEnd())
    }
    surroundings.print(`${lookedAt(run.tally)} looked at: ${CLASSES[run.work].map((name) => `${counts[name] ?? 0} ${name}`).join(", ")}`)
    return WRONGS.some((name) => counts[name] !== undefined)
  }).pipe(
    Effect.provide(layerRuns(located)),
    Effect.provideService(Log, surroundings.log)
  )))

const ofKind = () => new Option("--kind <kind>", "of one kind").choices(kinds.map(({ name }) => name))
const patience = () => new Option("--patience <seconds>", "give up after so long without progress").default(60).argParser(numberOf((n) => n > 0, "a number of seconds"))
const wrong = (is: boolean) => { if (is) throw new CommanderError(1, "verify.wrong", "something was wrong") }

interface Asked { readonly kind?: string; readonly patience: number }

/** `verify` and `rebuild`. */
export const addVerify = (program: Command, surroundings: Surroundings): void => {
  program.command("verify").description("hold the cache's entries against the rows, and repair what is wrong")
    .addOption(ofKind())
    .addOption(new Option("--sample <share>", "of so many of the entities, such as 0.01").default(1).argParser(numberOf((n) => n > 0 && n <= 1, "above 0 and at most 1")))
    .option("--no-repair", "only say what is wrong")
    .addOption(patience())
    .action(async ({ kind, sample, repair, patience }: Asked & { readonly sample: number; readonly repair: boolean }) =>
      wrong(await follow(surroundings, { work: "verification", kind: kind ?? null, sample, repair }, patience)))

  const rebuild = program.command("rebuild").description("make entries of rows, or hold rows against their events")
  const add = (work: "cache" | "rows", description: string) =>
    rebuild.command(work).description(description).addOption(ofKind()).addOption(patience())
      .action(async ({ kind, patience }: Asked) => wrong(await follow(surroundings, { work, kind: kind ?? null, sample: 1, repair: true }, patience)))
  add("cache", "make entries of rows where the cache has none")
  add("rows", "fold the events of every entity and say which rows differ; changes nothing")
}
