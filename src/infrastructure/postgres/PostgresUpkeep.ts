import { Effect, Layer } from "effect"
import { Upkeep } from "../../domain/jobs/Upkeep.ts"
import type { Outdated } from "../../domain/jobs/Upkeep.ts"
import type { DatabaseUnavailable } from "../../domain/ledger/Ledger.ts"
import { Postgres } from "./Postgres.ts"
import type { Statement, Values } from "./Postgres.ts"

const EVENTS: Statement = {
  name: "drop events",
  text: "select * from drop_partition_before('outbox', now() - make_interval(months => $1::integer))"
}
/** Today's and yesterday's are looked at, and a statement that began before midnight looks at the day before those. */
const KEYS: Statement = {
  name: "drop command keys",
  text: "select * from drop_partition_before('command_keys', (date_trunc('day', now() at time zone 'utc') - interval '2 days') at time zone 'utc')"
}

/** Without a retention the outbox keeps everything. */
export const layerPostgresUpkeep = ({ retentionMonths }: { readonly retentionMonths: number | null }) =>
  Layer.effect(Upkeep, Effect.map(Postgres, (postgres) => {
    // One in a transaction: the parent is held for the moment that it takes.
    const dropAll = Effect.fnUntraced(function*(statement: Statement, values: Values): Effect.fn.Return<readonly Outdated[], DatabaseUnavailable> {
      const outdated: Outdated[] = []
      for (;;) {
        const { partition, dropped } = (yield* postgres.read(statement, values))[0]!
        if (partition !== null) outdated.push({ partition, dropped })
        if (dropped !== true) return outdated
      }
    })
    return Upkeep.of({
      makePartitions: Effect.asVoid(postgres.read({ name: "make partitions", text: "select make_time_partitions(2, 7)" }, [])),
      dropPartitions: Effect.gen(function*() {
        const events = retentionMonths === null ? [] : yield* dropAll(EVENTS, [retentionMonths])
        return [...events, ...yield* dropAll(KEYS, [])]
      })
    })
  }))
