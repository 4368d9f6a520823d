import { Effect } from "effect"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { startCluster } from "../../../test/support/clusters.ts"
import type { Cluster } from "../../../test/support/clusters.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { openHttp } from "../../../test/support/http.ts"
import type { Http } from "../../../test/support/http.ts"
import { creating, keptLog } from "../../../test/support/services.ts"
import { LISTED, Replica } from "../../domain/ledger/Replica.ts"
import { migrate } from "../../infrastructure/postgres/migrate.ts"

const WITHIN = { within: 30_000 }
let primary: Cluster, follower: Cluster, http: Http
const over: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  primary = await startCluster((work) => void over.push(work))
  await Effect.runPromise(migrate(primary.url, { partitions: 64, log: keptLog().log }))
  follower = await primary.replica(primary.port)
}, 120_000)
afterAll(async () => { for (const work of over.reverse()) await work() }, 60_000)
beforeEach(async () => {
  http = await openHttp({ database: primary.url, environment: { DB_REPLICA_URL: follower.url, DATABASE_POOL_MAX: "4" } })
  await eventually(isUsed, WITHIN)
})
const isUsed = () => http.services.get(Replica).lag()! <= LISTED

const sample = async (name: string) => (await http.ask("GET", "/metrics")).text.split("\n").find((line) => line.startsWith(name))?.slice(name.length + 1)
const answered = async () => Number(await sample(`holdfast_replica_reads_total{result="answered"}`) ?? 0)
const get = (path: string, headers: Record<string, string> = {}) => http.ask("GET", path, { headers })
/** Asks until the replica has answered; a machine that is busy may have it passed over. */
const fromReplica = (path: string, headers: Record<string, string> = {}) => eventually(async () => {
  const before = await answered(), answer = await get(path, headers)
  if ((await answered()) === before) throw new Error("the primary answered")
  return answer
}, WITHIN)
const versions = ({ json }: { readonly json: any }) => json.items.map(({ versionId }: { versionId: number }) => versionId)
const paused = async (work: () => Promise<void>) => {
  await follower.query("select pg_wal_replay_pause()")
  await eventually(async () => (await follower.query("select pg_get_wal_replay_pause_state() as state"))[0].state === "paused", WITHIN)
  await work().finally(() => follower.query("select pg_wal_replay_resume()"))
}
const create = async () => (await http.ask("POST", "/v1/products", { body: creating().input })).json.id as string
const rename = async (id: string, name: string) => (await http.ask("PATCH", `/v1/products/${id}`, { body: { name } })).headers.get("consistency-token")!

test("a history, and a version in it, come from the replica; with a token, with no-cache, and where it knows of nothing from the primary", async () => {
  const id = await create(), path = `/v1/products/${id}`
  await rename(id, "Torch")
  const exact = { "cache-control": "no-cache" }, old = { "cache-control": "max-age=600" }
  await eventually(async () => expect(versions(await fromReplica(`${path}/events`))).toEqual([1, 2]), WITHIN)
  const first = await fromReplica(`${path}?version=1`)
  expect(first).toMatchObject({ status: 200, json: { versionId: 1, name: "Lamp" } })
  expect(first.text).toBe((await get(`${path}?version=1`, exact)).text)
  await paused(async () => {
    const token = { ...old, "consistency-token": await rename(id, "Candle") }, other = `/v1/products/${await create()}`
    expect(versions(await fromReplica(`${path}/events`, old))).toEqual([1, 2])
    for (const headers of [exact, token]) expect(versions(await get(`${path}/events`, headers))).toEqual([1, 2, 3])
    // A version that it has not heard of, and an entity: no 404 is its word.
    for (const headers of [exact, token, old]) expect(await get(`${path}?version=3`, headers)).toMatchObject({ status: 200, json: { name: "Candle" } })
    for (const headers of [exact, old]) expect(await get(`${other}?version=1`, headers)).toMatchObject({ status: 200, json: { versionId: 1 } })
    expect(versions(await fromReplica(`${other}/events`, old))).toEqual([1])
    expect(await get(`${path}?version=4`, old)).toMatchObject({ status: 404 })
    // Where nothing is said of an age it is a second, and that is over.
    await eventually(() => !isUsed(), WITHIN)
    expect(versions(await get(`${path}/events`))).toEqual([1, 2, 3])
  })
})

test("of a history of which the replica has too little the primary says whether it was pruned", async () => {
  const id = await create(), path = `/v1/products/${id}`
  await rename(id, "Torch")
  await primary.query("delete from outbox where entity_id = $1 and version_id = 1", [id])
  await eventually(async () => (await follower.query("select from outbox where entity_id = $1", [id])).length === 1, WITHIN)
  expect(await fromReplica(`${path}?version=2`)).toMatchObject({ status: 200, json: { name: "Torch" } })
  const before = await answered()
  await eventually(async () => {
    expect(await get(`${path}?version=1`)).toMatchObject({ status: 410, json: { type: "/problems/history-pruned" } })
    return (await answered()) > before
  }, WITHIN)
})

test("who was erased is not shown by a replica that has not heard of it, neither in a list nor by a read, a history or a version", async () => {
  const { json: { id } } = await http.ask("POST", "/v1/customers", { body: { name: "Ada", email: "ada@example.org", marketingConsent: true } })
  const old = { "cache-control": "max-age=600" }, path = `/v1/customers/${id}`
  await eventually(async () => (await follower.query("select from customers where id = $1", [id])).length === 1, WITHIN)
  await paused(async () => {
    expect((await http.ask("DELETE", path)).status).toBe(200)
    const before = await answered()
    for (const headers of [{}, old] as Record<string, string>[]) {
      expect((await get("/v1/customers", headers)).json.items).toEqual([])
      for (const asked of [path, `${path}?version=1`]) expect(await get(asked, headers)).toMatchObject({ status: 410 })
      expect(versions(await get(`${path}/events`, headers))).toEqual([1, 2])
    }
    expect(await answered()).toBe(before)
    expect((await follower.query("select from customers where id = $1 and deleted_at is null", [id]))).toHaveLength(1)
  })
})

test("operators see whether it is used, and how far it is behind", async () => {
  const capabilities = async () => (await get("/ops/stats")).json.providers.database.capabilities as string[]
  await eventually(async () => (await capabilities()).includes("replica: used"), WITHIN)
  await eventually(async () => Number(await sample("holdfast_replica_lag_seconds")) < 1, WITHIN)
  await follower.stop()
  await eventually(async () => (await capabilities()).includes("replica: not used"), WITHIN)
  expect(await sample("holdfast_replica_lag_seconds")).toBe("+Inf")
  // Nobody notices otherwise.
  expect(await get("/readyz")).toMatchObject({ status: 200, json: { ready: true } })
  await follower.start()
  await eventually(isUsed, WITHIN)
})
