import pg from "pg"
import type { Epochs } from "../../domain/ledger/Epochs.ts"
import type { Log } from "../../domain/observe/Log.ts"

/** A server that is there and is not used. */
export class ServerRefused extends Error {}

/** The newest epoch in the cache's checkpoints; null where the cache is away. */
export type NewestCached = () => Promise<number | null>

/** A connection that may be used: in which epoch it was made, 0 where none is kept, and whether that is the newest life still. */
export interface Admitted { readonly epoch: number; readonly stands: () => boolean }

/** Looks at a new connection before it is used, or rejects. */
export type Admission = (client: pg.ClientBase) => Promise<Admitted>

const refuseRecovery = (recovering: boolean) => {
  if (recovering) throw new ServerRefused("the server is in recovery, and takes no writes")
}

const SERVER = `select pg_is_in_recovery() as recovering, case when not pg_is_in_recovery()
  then (select c.system_identifier from pg_control_system() c) || ' ' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) end as life`

/** For a database whose lives nobody keeps: the latest server is the one that counts. */
export const admitByServer = (changed: () => void): Admission => {
  let current: string | null = null
  return async (client) => {
    const { rows: [{ recovering, life }] } = await client.query(SERVER)
    refuseRecovery(recovering)
    const isAnother = current !== null && current !== life
    current = life
    if (isAnother) changed()
    return { epoch: 0, stands: () => current === life }
  }
}

const UNDEFINED_FUNCTION = "42883"

/** For the database whose lives are kept: one that has no epoch yet is given it, before the connection is used. */
export const admitByEpoch = (epochs: Epochs["Service"], newestCached: NewestCached, log: Log["Service"]): Admission => {
  const begin = async (client: pg.ClientBase): Promise<number> => {
    const cached = await newestCached()
    const { rows: [row] } = await client.query("select begin_epoch($1, false) as epoch", [Math.max(cached ?? 0, epochs.newest())])
    // Of a later one the listeners to the epochs speak.
    if (epochs.newest() === 0) log.warn("A new life of the database", { epoch: Number(row.epoch) })
    if (cached === null) log.warn("The number of the new life is the clock's alone: the cache could not be asked", { epoch: Number(row.epoch) })
    return Number(row.epoch)
  }

  return async (client) => {
    const [row] = await client.query("select recovering, epoch from current_epoch()").then(({ rows }) => rows, (error) => {
      // Not migrated yet: what it lacks is said by who looks at the schema.
      if (error instanceof pg.DatabaseError && error.code === UNDEFINED_FUNCTION) return []
      throw error
    })
    if (row === undefined) {
      // It had one: a connection that may not be used would be made again and again.
      if (epochs.newest() > 0) throw new ServerRefused("the database has not the schema of Holdfast any more")
      return { epoch: 0, stands: () => epochs.newest() === 0 }
    }
    refuseRecovery(row.recovering)
    const epoch = row.epoch === null ? await begin(client) : Number(row.epoch)
    if (!epochs.seen(epoch)) throw new ServerRefused("the server is of a life of the database that is over; `holdfast epoch new` there would make it the newest")
    return { epoch, stands: () => epoch === epochs.newest() }
  }
}
