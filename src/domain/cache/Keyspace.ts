import { Context, Effect, Layer } from "effect"
import type { Kind } from "../Kind.ts"
import { Keyring } from "../secrets/Keyring.ts"
import { Latest } from "./Latest.ts"

// Two characters a partition. In braces they decide the Redis slot, and these were picked by CRC16 so that the first 64
// (128, …, 1,024) spread evenly over the slots: 16 masters have 4 of 64 each. Numbers as tags would give them 1 to 5.
const TAGS =
  "ruPqcwAsEVgRTT2XcTAPrVPRTwvsEugqe4G0t6V2GverVt0xatCppvRrC6a2R448I07mX2bgfBDF3HUDMpbDQB7N3kM6faDeSA5MBCmwdbFf1hWdOPmTSb5n1KWGdAFE" +
  "Qm7acsbkfNIz3DXxcPox6Z7B3gUkfmIYSM8qBOV687KZ1dO9Blx94z8R1GWKdMKy6q7inKLOHj67A92T21Ll6R7JYK2wHIjM9a5IlkNoJJhNVxyLlHNL9B5j1OyoJihm" +
  "PsrwAqcugPET2ZTVARcVPPrT2yTugsEwG2e6V0t4epGt0zVvCravRppta0C4p2R67oI2beX0DDkpUF3JbFMr7L6TM43iDgfc5OSCNiBAFdiPWf1jmVBb5lK1WE1IFGdC" +
  "7cQooYcqIxEPXz3FozcRsHQLXY3eDkfo8sSOmyBMKX85ZZ1fmZBni9SlZy1EFKdO7k6sLMnI65Hh2VYjLn237Hg92uYIjOHK5K9cNmlihLJHyN1nNNlJ5h4pymVYhoJk" +
  "cvArrtPpA4c0P6r2g6E2v4T0EtgpTv2zaVCRpTRPVu0yGwespwRsauCqGTePVV0ZMRbfI17l3IUEfCDGQC7OMqbEkPDd3jUfBBmv9d5L1iO4dcFgK25oBax4ipFD1JWF" +
  "croZ6xk93EXyfODKQO7C28oyflIX3fXZBNmz4X8p1eZY86FkSo8SBmmYdLKx1FZznJLN6p7hYi2UHkjo6S7KniLmHHjLYJ2v03Nne95HVyyMJKhO9C5klINMJh45VZyn" +
  "ApctPrrvc2A668P4E0g4T2v6grEv2xTtCPaTRRpVtsVweqGuRqpuCsaweRGV0XVTbdMP7nQbUG3KDEfA7MQAbGMsDffbUd3hmtOp5NSBO61kFe885mK0x6BcFFdBWD1H" +
  "z9cp7bQnUK3GIyfM7AQMbKv2IZErM93dmxBL8rSNWk1gKY848QSmCwBoKzGRZx1DLLnH7j6r2WYkjmHi7I6QLonkjNHJ2tYHNl015J9byO1ohMJI5i9ANOlK47JjylC9" +
  "4L8daFCBGgecVe0iaeCa4oRcVF0JGDKl6lH1cfAbEGgCTE2IcEAA6OPCL72jEdILF1d5W3u7dsFw1yWuBqmESsqw1ZB759S5QpstMBbvfSDW3YUUMabUQSsW3zUvfpDt" +
  "4H5POnmjiOKKxMZIOMmI4k8CxnZjilKh6h7pMNoJ76IkzmXiMm306K7SzNXJkLIH9pRLlzCNGk96N80ey8Cm9SRoVJ0FJxeLj9PlnZAnEKgOYy2EnyAM6CPOYZ2fHXgl" +
  "RB4NNpaDeaGe0kVgCcagRa4m0HVDeBGFH36nY1cdgAEE2KTGACcGPA6M2hL5gbEfd7F3u5W1FudqWwusmGBsquSqB51XS7q3svQrbtclDUfQUWwSbWMcsUQQUt3xDvfr" +
  "8b4JmhOlKIiMZKxOmKOO8A4iZhxlKjin7r6joHMLIi74Xkzo32Mof86IXHzLIJkNRN9rCLlx94JY0gVkCoakRmh80DVHeNJzPn6bAlnXDQHy2GTKAOcKPM6A2dYXgnHZ" +
  "aGCC4MRAN50hGfeb4nJ3adNPGEeAVG0KcgAc6mPaTD2HEFgB6NPBcDLpEegaTg2kBSmgSQqU1xWtdrFvSrqvBpmDdQFUuSWWMCbwQqsub1UTs3Q7D3f7U1w5fqDuwsUw" +
  "Oo124I8axLZHiNKJ4j8BOLmH54KixoZkMOoK6i7qzlXhknIj6J7RMlohkMIIzOXKBWCO9q5YN90dJZ979RRnlXClJyeMVK0GckAoj87yYx2DHzgN6BPNnxALHYgmTk2g" +
  "CAaERC4O0jN799GdJ14lCbafeCGG0IVEAacePc6o2JTFjpED7T6LABcFgcEg2iTemeBQqWSSWv1zFtdpqtSpNZBrFWdSWU1YbuMAswQsUVb3Q579f5D1w7U3DwfsUu3y" +
  "10Om8c4KZJxNKHiL5p4hmJONKk56B8xmoIMM7s6kXjznIhkl7P6HojMnIKkOXIzMCMlyRO9s0fVj95JXRl9PCnlZFSGK0EVIAmnYPo6c2FYzgLHxPLrHANnzDsEk2eL8"

/** More would have no tag. */
export const MOST_PARTITIONS = TAGS.length / 2

/** Where the cache keeps an entity: its key, and the partition whose checkpoint vouches for it. */
export interface Key { readonly text: string; readonly partition: number }

const tagOf = (partition: number) => TAGS.slice(2 * partition, 2 * partition + 2)

/** FNV-1a, 32 bits: fast, and even enough over ids. */
const hash = (id: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** 128 bits of a digest are as good as a UUID. */
const DIGITS = 32
/** Digests are kept of so many of the latest ids: to make one costs ten times as much as to find it. */
const REMEMBERED = 50_000

/**
 * The keys `hf:{tag}:<kind>:<id>`, and `hf:{tag}` for a partition's checkpoint. The braces put a partition into one Redis
 * slot. From tier 2 up a keyed digest stands in the id's place; the partition is the id's own all the same, so that the
 * outbox, the checkpoint and the slot agree.
 */
export class Keyspace extends Context.Service<Keyspace, {
  readonly partitions: number
  readonly partitionOf: (id: string) => number
  readonly keyOf: (kind: string, id: string) => Key
}>()("holdfast/cache/Keyspace") {
  static readonly layer = (partitions: number, kinds: readonly Kind[]) =>
    Layer.effect(Keyspace, Effect.gen(function*() {
      const keyring = yield* Keyring
      // A kind that is not known here may be a sealed one.
      const plain = new Set(kinds.filter(({ tier }) => tier === 1).map(({ name }) => name))
      const known = new Latest<string>(REMEMBERED)
      const digestOf = (kind: string, id: string): string => {
        const text = `${kind} ${id}`, found = known.get(text)
        if (found !== undefined) return found
        const digest = keyring.digest("entry key", text).slice(0, DIGITS)
        known.set(text, digest)
        return digest
      }
      const partitionOf = (id: string) => hash(id) % partitions
      return Keyspace.of({
        partitions,
        partitionOf,
        keyOf: (kind, id) => {
          const partition = partitionOf(id)
          return { text: `hf:{${tagOf(partition)}}:${kind}:${plain.has(kind) ? id : digestOf(kind, id)}`, partition }
        }
      })
    }))
}

export const checkpointKey = (partition: number): string => `hf:{${tagOf(partition)}}`

/** The partition of a key that a scan found; null where the key is not one of ours. */
export const partitionOfKey = (key: string): number | null => {
  const at = /^hf:\{(..)\}:/.exec(key)
  return at === null ? null : PARTITION_OF_TAG.get(at[1]!) ?? null
}
const PARTITION_OF_TAG = new Map(Array.from({ length: MOST_PARTITIONS }, (_, partition) => [tagOf(partition), partition]))
