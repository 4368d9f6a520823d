import { Context } from "effect"

/** What must not repeat, and what nobody may guess. */
export class Identifiers extends Context.Service<Identifiers, {
  /** A UUIDv7; within a process later ones are greater. */
  readonly id: () => string
  /** 32 hexadecimal digits, random: of a lease. */
  readonly token: () => string
  /** 16 hexadecimal digits, random: of a checkpoint's mark. */
  readonly mark: () => string
  /** From 0 up to 1, for spreading things in time. */
  readonly random: () => number
  /** The first 16 bytes of HMAC-SHA-256 under the installation's secret. */
  readonly authenticate: (bytes: Uint8Array) => Uint8Array
}>()("holdfast/Identifiers") {}
