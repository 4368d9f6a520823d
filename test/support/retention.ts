import { expect } from "vitest";
import { Upkeep } from "../../src/domain/jobs/Upkeep.ts";
import { eventually } from "./eventually.ts";
import { type freshDatabase, run, type Services } from "./services.ts";

type Database = Awaited<ReturnType<typeof freshDatabase>>;

/** A month of the outbox so many months ago; answers its name and beginning. */
export const monthAgo = async ({ query }: Database, months: number): Promise<{ readonly name: string; readonly from: string }> => {
  const [{ name, begins, ends }] = await query(
    `select to_char(m, '"outbox_"YYYYMM') as name, m::date::text as begins, (m + interval '1 month')::date::text as ends
     from (select date_trunc('month', now() at time zone 'utc') - make_interval(months => $1) as m) of`,
    [months],
  );
  await query(`create table if not exists ${name} partition of outbox for values from ('${begins} 00:00:00+00') to ('${ends} 00:00:00+00')`);
  return { name, from: `${begins} 00:00:00+00` };
};

/** As if the events had been written so many months ago; answers the name of that month. */
export const putBack = async (database: Database, months: number, where = "true", values: unknown[] = []): Promise<string> => {
  const { name, from } = await monthAgo(database, months);
  await database.query(`update outbox set recorded_at = '${from}'::timestamptz + interval '3 days' where ${where}`, values);
  return name;
};

/** Drops what is older than the retention. The fence may be held by somebody in another database. */
export const prune = (services: Services, partition: string): Promise<void> =>
  eventually(async () => expect(await run(services.get(Upkeep).dropPartitions)).toContainEqual({ partition, dropped: true }), { within: 50_000 });

export const RETENTION = { OUTBOX_RETENTION_MONTHS: "2" };
