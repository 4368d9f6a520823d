import { createHmac } from "node:crypto"
import fc from "fast-check"
import { expect, test } from "vitest"
import { entityDigest, formatToken, parseToken } from "./Token.ts"
import type { Token } from "./Token.ts"

const under = (secret: string) => (bytes: Uint8Array): Uint8Array => createHmac("sha256", secret).update(bytes).digest().subarray(0, 16)
const ours = under("ours")

const epochs = fc.maxSafeNat(), sequences = fc.maxSafeNat()
const transactions = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), digests = fc.uuid().map((id) => entityDigest("product", id, ours))
const ofChange: fc.Arbitrary<Token> = fc.record({ epoch: epochs, sequence: sequences, transaction: transactions, entity: fc.option(digests) })
const ofRead: fc.Arbitrary<Token> = fc.record({ epoch: epochs, sequence: sequences, transaction: fc.constant(null), entity: digests })
const tokens = fc.oneof(ofChange, ofRead)

test("a token is read back as it was given out", () => {
  fc.assert(fc.property(tokens, (token) => void expect(parseToken(formatToken(token, ours), ours)).toEqual(token)))
})

test("a token that was changed in any bit is none", () => {
  fc.assert(fc.property(tokens, fc.nat(48 * 8 - 1), (token, bit) => {
    const bytes = Buffer.from(formatToken(token, ours), "base64url")
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    expect(parseToken(bytes.toString("base64url"), ours)).toBeNull()
  }))
})

test("a token of another installation is none", () => {
  fc.assert(fc.property(tokens, (token) => void expect(parseToken(formatToken(token, under("theirs")), ours)).toBeNull()))
})

test("a token that was cut, lengthened or written in another spelling is none", () => {
  fc.assert(fc.property(tokens, (token) => {
    const text = formatToken(token, ours)
    for (const other of [text.slice(0, -1), `${text}A`, `${text}=`, ` ${text}`, Buffer.from(text, "base64url").toString("hex"), ""]) {
      expect(parseToken(other, ours)).toBeNull()
    }
  }))
})

test("an entity's digest is 8 bytes, and of that kind, that id and that installation alone", () => {
  const digests = [entityDigest("product", "a", ours), entityDigest("order", "a", ours), entityDigest("product", "b", ours), entityDigest("product", "a", under("theirs"))]
  expect(new Set(digests).size).toBe(4)
  for (const digest of digests) expect(digest).toMatch(/^[0-9a-f]{16}$/)
  expect(entityDigest("product", "a", ours)).toBe(digests[0])
})
