import { CommanderError, Option } from "commander"
import type { Command } from "commander"
import { Effect } from "effect"
import { kinds } from "../domain/kinds/kinds.ts"
import { Log } from "../domain/observe/Log.ts"
import { RowsCheck } from "../domain/sync/RowsCheck.ts"
import { layerRowsCheck } from "../infrastructure/live.ts"
import { withKeyring } from "./database.ts"
import type { Surroundings } from "./holdfast.ts"
import { rowOf } from "./rowOf.ts"

const row = rowOf(8, 36)
/** Told after so many entities. */
const TELL_EVERY = 1_000

/** Answers how many entities differ. What differs is printed when it is found: nothing is kept until the end. */
const check = (surroundings: Surroundings, only: string | null): Promise<number> =>
  withKeyring(surroundings, (running) =>
    Effect.runPromise(Effect.gen(function*() {
      const rows = yield* RowsCheck
      let different = 0
      for (const kind of kinds.filter(({ name }) => only === null || name === only)) {
        let compared = 0, pruned = 0, ofKind = 0
        yield* rows.check(kind, (page) => {
          compared += page.compared
          pruned += page.pruned
          ofKind += page.differences.length
          for (const { id, fields } of page.differences) surroundings.print(row(kind.name, id, fields.join(", ")))
          if (compared % TELL_EVERY < page.compared) surroundings.progress(`${compared} ${kind.plural} compared`)
        })
        surroundings.print(`${compared} ${kind.plural} compared with their events: ${ofKind} differ${pruned === 0 ? "" : `; ${pruned} were not, since events of theirs were pruned`}`)
        different += ofKind
      }
      return different
    }).pipe(
      Effect.provide(layerRowsCheck(running)),
      Effect.provideService(Log, surroundings.log)
    )))

/** `rows check`. */
export const addRows = (program: Command, surroundings: Surroundings): void => {
  program.command("rows").description("the rows of the entities, against their events")
    .command("check").description("fold the events of every entity and name the fields in which its row differs; changes nothing")
    .addOption(new Option("--kind <kind>", "of one kind").choices(kinds.map(({ name }) => name)))
    .action(async ({ kind }: { readonly kind?: string }) => {
      if (await check(surroundings, kind ?? null) > 0) throw new CommanderError(1, "rows.differ", "rows differ from their events")
    })
}
