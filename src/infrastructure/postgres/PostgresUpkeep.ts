import { Effect, Layer } from "effect"
import { Upkeep } from "../../domain/jobs/Upkeep.ts"
import { Postgres } from "./Postgres.ts"

export const layerPostgresUpkeep = Layer.effect(Upkeep, Effect.map(Postgres, (postgres) => Upkeep.of({
  makePartitions: Effect.asVoid(postgres.read({ name: "make partitions", text: "select make_time_partitions(2, 7)" }, []))
})))
