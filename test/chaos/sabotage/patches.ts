/** One replacement; `from` stands exactly once in the file. */
export type Patch = { readonly file: string; readonly from: string; readonly to: string };

const store = "src/infrastructure/redis/store.lua";
const settle = "src/infrastructure/redis/settle.lua";
const purge = "src/infrastructure/redis/purge.lua";
const memory = "src/infrastructure/memory/MemoryCache.ts";
const relay = "src/domain/sync/Relay.ts";
const purges = "src/domain/sync/Purge.ts";
const queries = "src/domain/Queries.ts";
const freshness = "src/domain/Freshness.ts";
const epochs = "src/infrastructure/postgres/epochs.ts";

/** What takes each rule of the cache protocol out of the product. The names are those of the rules. */
export const patches = {
  guard: [
    { file: store, from: "if older(there, rank) then keep = true elseif there == rank then outcome = 'current' else outcome = 'older' end", to: "keep = true" },
    { file: settle, from: "if there ~= rank and older(there, rank) then", to: "if there ~= rank then" },
    { file: memory, from: `return there < rank ? replace(key.text, value, ttlMilliseconds) : there === rank ? "current" : "older"`, to: "return replace(key.text, value, ttlMilliseconds)" },
    { file: memory, from: "if (rankIn(stands) >= rank) return", to: "if (rankIn(stands) === rank) return" },
  ],
  lease: [
    { file: store, from: "elseif lease ~= '' and stands == 'L' .. lease then", to: "elseif true then" },
    { file: memory, from: "if (stands !== undefined && lease !== null && textOf(stands) === `L${lease}`) return", to: "if (rank !== \"\") return" },
  ],
  "lease-first": [
    {
      file: "src/domain/sync/WriteThrough.ts",
      from: "return access.lease(keysOf(kind, ids), token).pipe(",
      to: "return Effect.forkDetach(access.lease(keysOf(kind, ids), token)).pipe(\n            Effect.as(ids.map(() => true)),",
    },
  ],
  "token-once": [{ file: "src/infrastructure/crypto/NodeIdentifiers.ts", from: "token: hex(16),", to: `token: () => "0".repeat(32),` }],
  "store-breaks": [
    { file: store, from: "if stands ~= '' and ARGV[1] == '1' then", to: "if false then" },
    { file: memory, from: "if (breaks) remove(key.text)", to: "if (breaks) void 0" },
  ],
  "relay-breaks": [
    { file: settle, from: "elseif stands ~= '' then", to: "elseif false then" },
    { file: memory, from: "broken.push(place)\n            return remove(key.text)", to: "return" },
  ],
  rewind: [{ file: relay, from: "if (remembered?.text === member.text) return", to: "if (remembered !== undefined) return" }],
  atomic: [
    { file: relay, from: "const next = i === all.length - 1 && left.length === 0 ? marked(to) : marked(from)", to: "const next = standing" },
    { file: relay, from: "const otherwise = marked(from), now = clock()", to: "const otherwise = standing, now = clock()" },
    {
      file: relay,
      from: "if (left.length === 0) break",
      to: "if (left.length === 0) {\n          const moved = marked(to)\n          if (!(yield* access.work((cache) => cache.mark(partition, expected, moved)))) return null\n          expected = moved\n          break\n        }",
    },
  ],
  fence: [{ file: "src/domain/ledger/Snapshot.ts", from: "made(last + 1n, snapshot.open.filter((x) => x <= last))", to: "made(last + 1n, [])" }],
  "position-above-last": [{ file: "src/infrastructure/postgres/PostgresOutbox.ts", from: "o.xid = any(array(select pg_snapshot_xip($2::pg_snapshot)))", to: "false" }],
  "row-after-log": [
    {
      file: relay,
      from: "const look = yield* outbox.since(epoch, from, partitions, limit)",
      to: "const { pending: seen } = yield* outbox.since(epoch, from, partitions, limit)\n        const look = { ...(yield* outbox.since(epoch, from, partitions, limit)), pending: seen }",
    },
  ],
  "fence-first": [
    { file: purges, from: "for (const [partition, { text }] of mine) {", to: "const { snapshot: later } = yield* ledger.snapshot\n      for (const [partition, { text }] of mine) {" },
    { file: purges, from: "mark: identifiers.mark(), time, snapshot })", to: "mark: identifiers.mark(), time, snapshot: later })" },
  ],
  "purge-leases": [
    { file: purge, from: "do redis.call('DEL', KEYS[i]) end", to: "do if string.sub(redis.call('GET', KEYS[i]) or '', 1, 1) ~= 'L' then redis.call('DEL', KEYS[i]) end end" },
    { file: memory, from: "keys.forEach(remove)", to: "keys.filter((key) => !isLease(find(key)?.bytes ?? new Uint8Array(0))).forEach(remove)" },
  ],
  "purge-progress": [{ file: purges, from: "const next = marker(purging.pieces + 1)", to: "const next = purging.text" }],
  "purge-token": [{ file: purges, from: "const mark = identifiers.mark()", to: `const mark = "0".repeat(16)` }],
  "queue-guard": [{ file: "src/infrastructure/postgres/PostgresRetryQueue.ts", from: " and s.of_owed = q.owed order by", to: " order by" }],
  // The rule cannot be taken out as the model does it: an entry does not know its transaction, so there is nothing else to compare by. This takes the comparison away.
  "by-sequence": [{ file: freshness, from: "if (entry.sequence >= token.sequence) return true", to: "if (entry.sequence >= 0) return true" }],
  "one-look": [
    {
      file: queries,
      from: "const look = await access.look(key, freshness.tokens.length > 0 || freshness.maxAgeSeconds !== null)",
      to: "const first = await access.look(key, false), second = first === null ? null : await access.look(key, true)\n      const look = first === null || second === null ? null : { value: first.value, checkpoint: second.checkpoint }",
    },
  ],
  "join-check": [{ file: queries, from: "if (joined || hit ? satisfies(kind, id, entry, freshness.tokens, null) && freshness.maxAgeSeconds === null : true) {", to: "if (joined || entry !== null) {" }],
  "epoch-first": [
    {
      file: epochs,
      from: "const epoch = row.epoch === null ? await begin(client) : Number(row.epoch)",
      to: `const epoch = Number(row.epoch ?? (await client.query("select max(epoch) as epoch from database_epochs")).rows[0].epoch)`,
    },
  ],
  "epoch-with-row": [
    {
      file: "src/infrastructure/postgres/PostgresLedger.ts",
      from: `Effect.filterOrFail(postgres.read(statement, values), isNow, () => new DatabaseUnavailable({ reason: "a new life of the database began meanwhile" }))`,
      to: `Effect.map(postgres.read(statement, values), (rows) => rows.map((columns) => "epoch" in columns ? { ...columns, epoch: epochs.newest() } : columns))`,
    },
    { file: epochs, from: "stands: () => epoch === epochs.newest() }", to: "stands: () => true }" },
  ],
  "epoch-gate": [
    { file: store, from: "if number(rank, 1, 12) < epoch then", to: "if false then" },
    { file: settle, from: "if number(ARGV[3 * i - 2], 1, 12) < epoch then return false end", to: "" },
    { file: settle, from: "if number(ARGV[2], 2, 13) < epoch then return false end", to: "" },
    { file: purge, from: "if epoch(ARGV[2]) < epoch(stands) then return 0 end", to: "" },
    { file: memory, from: `if (rank.slice(0, 12) < epochIn(checkpoints.get(key.partition) ?? "")) return "refused"`, to: "" },
  ],
} as const satisfies Record<string, readonly Patch[]>;

export type Rule = keyof typeof patches;
