import { randomBytes, randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { layerFileKeyring } from "../../infrastructure/crypto/FileKeyring.ts"
import { kinds } from "../kinds/kinds.ts"
import { checkpointKey, Keyspace, MOST_PARTITIONS, partitionOfKey } from "./Keyspace.ts"

/** CRC-16/XMODEM, as Redis Cluster uses it. */
const crc16 = (text: string): number => {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc
}
const slotOf = (key: string): number => crc16(/\{(.+?)\}/.exec(key)![1]!) % 16_384

const INDEX = randomBytes(32)
const keyspaceOf = (partitions: number, index = INDEX, number = 1) => Effect.runSync(Effect.provide(Keyspace, Layer.provide(
  Keyspace.layer(partitions, kinds), layerFileKeyring({ primary: number, keys: new Map([[number, randomBytes(32)]]), index })
)))

test("the slot is Redis' own", () => {
  // From the specification of Redis Cluster.
  expect(crc16("123456789")).toBe(0x31c3)
})

test.each([64, 128, 256, 512, 1_024])("of %i partitions every one of 2 to 16 masters has as many as the others, but for one or two", (partitions) => {
  const slots = Array.from({ length: partitions }, (_, partition) => slotOf(checkpointKey(partition)))
  for (let masters = 2; masters <= 16; masters++) {
    const counts = Array.from({ length: masters }, () => 0)
    // As `redis-cli --cluster create` deals the slots out.
    for (const slot of slots) counts[Math.min(masters - 1, Math.floor(slot * masters / 16_384))]!++
    expect(Math.max(...counts) - Math.min(...counts), `${masters} masters: ${counts}`).toBeLessThanOrEqual(partitions > 512 ? 2 : 1)
  }
})

test("a partition's checkpoint and its entries are in one slot, and no two partitions share a tag", () => {
  const { keyOf } = keyspaceOf(MOST_PARTITIONS)
  for (let i = 0; i < 2_000; i++) {
    const { text, partition } = keyOf("product", `id-${i}`)
    expect(slotOf(text)).toBe(slotOf(checkpointKey(partition)))
    expect(text.startsWith(`${checkpointKey(partition)}:product:`)).toBe(true)
  }
  expect(new Set(Array.from({ length: MOST_PARTITIONS }, (_, partition) => checkpointKey(partition))).size).toBe(MOST_PARTITIONS)
})

test("ids spread evenly over the partitions, and one always falls into the same", () => {
  const { keyOf, partitions } = keyspaceOf(64)
  expect(partitions).toBe(64)
  const counts = Array.from({ length: 64 }, () => 0), ids = Array.from({ length: 64_000 }, () => crypto.randomUUID())
  for (const id of ids) counts[keyOf("product", id).partition]!++
  // Six standard deviations.
  for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(200)
  for (const id of ids.slice(0, 100)) expect(keyspaceOf(64).keyOf("product", id)).toEqual(keyOf("product", id))
})

test("the partition of a key that a scan finds is known from the key, and what is not ours has none", () => {
  const { keyOf } = keyspaceOf(MOST_PARTITIONS)
  for (let i = 0; i < 2_000; i++) {
    const { text, partition } = keyOf("product", `id-${i}`)
    expect(partitionOfKey(text)).toBe(partition)
  }
  for (const foreign of ["", "session:1", checkpointKey(0), "hf:{}:product:1", "hf:{abc}:product:1", "hf:{!!}:product:1", `x${keyOf("product", "1").text}`]) {
    expect(partitionOfKey(foreign), foreign).toBeNull()
  }
})

test("from tier 2 up no id stands in a key but a digest of it, bound to the kind; a product's id stands there as it is", () => {
  const { keyOf } = keyspaceOf(64), id = randomUUID()
  expect(keyOf("product", id).text.endsWith(`:product:${id}`)).toBe(true)
  for (const kind of ["order", "customer", "a kind of a newer version"]) {
    expect(keyOf(kind, id).text).toMatch(new RegExp(`^hf:\\{..\\}:${kind}:[0-9a-f]{32}$`))
    expect(keyOf(kind, id).text).not.toContain(id.replaceAll("-", "").slice(0, 8))
  }
  const digests = ["order", "customer"].map((kind) => keyOf(kind, id).text.split(":").at(-1))
  expect(new Set(digests).size).toBe(2)
})

test("the partition is that of the id for every kind, so that the outbox, the checkpoint and the slot agree", () => {
  const { keyOf, partitionOf } = keyspaceOf(64)
  for (let i = 0; i < 200; i++) {
    const id = randomUUID()
    for (const { name } of kinds) {
      const key = keyOf(name, id)
      expect(key.partition).toBe(partitionOf(id))
      expect(partitionOfKey(key.text)).toBe(partitionOf(id))
    }
  }
})

test("two processes find the same digest, after a rotation too; under another index key it is another, so nobody can try ids", () => {
  const one = keyspaceOf(64), rotated = keyspaceOf(64, INDEX, 2), stranger = keyspaceOf(64, randomBytes(32)), id = randomUUID()
  // The second time it is remembered.
  for (let i = 0; i < 2; i++) expect(rotated.keyOf("order", id)).toEqual(one.keyOf("order", id))
  expect(stranger.keyOf("order", id)).not.toEqual(one.keyOf("order", id))
})
