import { Effect, Layer, ManagedRuntime } from "effect"
import { describe, expect, test, vi } from "vitest"
import { IssuedTokens } from "../../domain/access/IssuedTokens.ts"
import { Log } from "../../domain/observe/Log.ts"
import { eventually } from "../../../test/support/eventually.ts"
import { compact, makeKey, pemOf, seconds, signedBy, signedWithText, startIssuer } from "../../../test/support/issuer.ts"
import { afterwards, keptLog } from "../../../test/support/services.ts"
import { layerNodeIdentifiers } from "../crypto/NodeIdentifiers.ts"
import { layerJwtTokens } from "./JwtTokens.ts"
import type { JwtOptions } from "./JwtTokens.ts"

const rsa = makeKey("RS256", "rsa"), ec = makeKey("ES256", "ec"), ed = makeKey("EdDSA", "ed"), stranger = makeKey("RS256", "rsa")

const freshIssuer = async (keys = [rsa, ec, ed]) => {
  const issuer = await startIssuer(keys)
  afterwards(issuer.stop)
  return issuer
}

const tokensOf = async (issuer: { readonly issuer: string; readonly audience: string; readonly url: string }, options: Partial<JwtOptions> = {}, secret = new Uint8Array(32)) => {
  const { log, lines } = keptLog()
  // A machine that stalls is no issuer that is away.
  const runtime = ManagedRuntime.make(layerJwtTokens({ issuer: issuer.issuer, audience: issuer.audience, url: issuer.url, timeoutMilliseconds: 30_000, ...options }).pipe(
    Layer.provide(Layer.mergeAll(layerNodeIdentifiers({ secret }), Layer.succeed(Log, log)))
  ))
  afterwards(() => runtime.dispose())
  const { authenticate } = await runtime.runPromise(Effect.service(IssuedTokens))
  return { authenticate, lines }
}

describe("what is let in", () => {
  test.each([rsa, ec, ed])("a token signed by $alg", async (key) => {
    const issuer = await freshIssuer(), { authenticate } = await tokensOf(issuer)
    expect((await authenticate(issuer.token({}, key)))?.scopes).toEqual(new Set(["catalog:read"]))
  })

  test("scopes that are known here; unknown ones are ignored, and a token may have none", async () => {
    const issuer = await freshIssuer(), { authenticate } = await tokensOf(issuer)
    const scopesOf = async (scope: unknown) => [...(await authenticate(issuer.token({ scope })))!.scopes]
    expect(await scopesOf("openid orders:read catalog:read catalog:everything")).toEqual(["catalog:read", "orders:read"])
    for (const none of ["", undefined, null, ["catalog:read"], 7, "catalog:read,orders:read", "CATALOG:READ"]) expect(await scopesOf(none)).toEqual([])
  })

  test("a token for several audiences, of which this is one", async () => {
    const issuer = await freshIssuer(), { authenticate } = await tokensOf(issuer)
    expect(await authenticate(issuer.token({ aud: ["other", issuer.audience] }))).not.toBeNull()
  })

  test("a subject is the same principal each time, another is another, and its name is not in it", async () => {
    const issuer = await freshIssuer(), { authenticate } = await tokensOf(issuer)
    const idOf = async (claims: object, by = authenticate) => (await by(issuer.token(claims)))!.id
    const ada = await idOf({})
    expect(ada).toMatch(/^jwt_[0-9a-f]{32}$/)
    expect(await idOf({ scope: "orders:read", exp: seconds(99) })).toBe(ada)
    expect(await idOf({ sub: "bob@example.com" })).not.toBe(ada)
    const elsewhere = await tokensOf(issuer, {}, new Uint8Array(32).fill(1))
    expect(await idOf({}, elsewhere.authenticate)).not.toBe(ada)
  })
})

describe("what is refused", () => {
  const header = { alg: "RS256", kid: "rsa" }
  const pem = pemOf(rsa)
  type Forge = (issuer: Awaited<ReturnType<typeof freshIssuer>>) => string
  const forgeries: readonly (readonly [string, Forge])[] = [
    ["no signature", ({ claims }) => compact({ alg: "none" }, claims(), () => Buffer.alloc(0))],
    ["alg none, with the signature of another algorithm", ({ claims }) => compact({ alg: "none", kid: "rsa" }, claims(), signedBy(rsa))],
    ["a shared secret", ({ claims }) => compact({ alg: "HS256" }, claims(), signedWithText("secret"))],
    ["the public key taken as a shared secret", ({ claims }) => compact({ alg: "HS256", kid: "rsa" }, claims(), signedWithText(pem))],
    ["the public key taken as a shared secret, said to be RS256", ({ claims }) => compact(header, claims(), signedWithText(pem))],
    ["another algorithm than the key's", ({ claims }) => compact({ alg: "ES256", kid: "rsa" }, claims(), signedBy(ec))],
    ["an algorithm that is not taken", ({ claims }) => compact({ alg: "RS512", kid: "rsa" }, claims(), signedBy(rsa))],
    ["a key of somebody else under the same name", ({ token }) => token({}, stranger)],
    ["a key that the token brings along", ({ claims }) => compact({ ...header, jwk: stranger.publicKey.export({ format: "jwk" }) }, claims(), signedBy(stranger))],
    ["a key that nobody has", ({ token }) => token({}, { ...rsa, kid: "unknown" })],
    ["no name of a key, where the issuer has several", ({ claims }) => compact({ alg: "RS256" }, claims(), signedBy(rsa))],
    ["an extension that must be understood", ({ claims }) => compact({ ...header, crit: ["exp2"], exp2: 1 }, claims(), signedBy(rsa))],
    ["another issuer", ({ token }) => token({ iss: "https://evil.example" })],
    ["no issuer", ({ token }) => token({ iss: undefined })],
    ["another audience", ({ token }) => token({ aud: "another" })],
    ["no audience", ({ token }) => token({ aud: undefined })],
    ["expired", ({ token }) => token({ exp: seconds(-1) })],
    ["no expiry", ({ token }) => token({ exp: undefined })],
    ["an expiry that is no number", ({ token }) => token({ exp: "tomorrow" })],
    ["not yet valid", ({ token }) => token({ nbf: seconds(60) })],
    ["no subject", ({ token }) => token({ sub: undefined })],
    ["a subject that is no text", ({ token }) => token({ sub: 7 })],
    ["an empty subject", ({ token }) => token({ sub: "" })],
    ["claims that are no object", () => compact(header, "claims", signedBy(rsa))],
    ["a claim changed after the signature", ({ token, claims }) => {
      const [head, , signature] = token().split(".")
      return [head, Buffer.from(JSON.stringify(claims({ scope: "ops:write" }))).toString("base64url"), signature].join(".")
    }],
    ["no token at all", () => "a.b.c"],
    ["nothing", () => ""]
  ]
  test.each(forgeries)("%s", async (_, forge) => {
    const issuer = await freshIssuer([rsa, ec, ed, makeKey("RS256", "other")]), { authenticate } = await tokensOf(issuer)
    expect(await authenticate(issuer.token())).not.toBeNull()
    expect(await authenticate(forge(issuer))).toBeNull()
    expect(await authenticate(issuer.token())).not.toBeNull()
  })

  test("a token that was let in, once it has expired", async () => {
    const issuer = await freshIssuer(), { authenticate } = await tokensOf(issuer)
    const expires = seconds(60), token = issuer.token({ exp: expires })
    afterwards(() => vi.useRealTimers())
    vi.useFakeTimers({ toFake: ["Date"], now: expires * 1_000 - 1 })
    for (const _ of ["verified", "remembered"]) expect(await authenticate(token)).not.toBeNull()
    vi.setSystemTime(expires * 1_000)
    expect(await authenticate(token)).toBeNull()
  })
})

describe("the issuer's keys", () => {
  test("a new one is asked for when a token names it, and one that is gone is refused", async () => {
    const issuer = await freshIssuer([rsa]), { authenticate } = await tokensOf(issuer, { cooldownMilliseconds: 0 })
    const old = issuer.token()
    expect(await authenticate(old)).not.toBeNull()
    issuer.publish([ec])
    expect(await authenticate(issuer.token())).not.toBeNull()
    expect(await authenticate(old)).toBeNull()
  })

  test("they are not asked for again within 10 s, however many unknown ones are named", async () => {
    const issuer = await freshIssuer([rsa]), { authenticate } = await tokensOf(issuer)
    await authenticate(issuer.token())
    for (let i = 0; i < 50; i++) await authenticate(issuer.token({}, { ...ec, kid: `made-up-${i}` }))
    expect(issuer.asked()).toBe(1)
  })

  test("nor while the issuer is away", async () => {
    const issuer = await freshIssuer([rsa])
    issuer.answers((_, response) => response.writeHead(500).end())
    const { authenticate, lines } = await tokensOf(issuer)
    for (let i = 0; i < 50; i++) expect(await authenticate(issuer.token())).toBeNull()
    expect(issuer.asked()).toBe(1)
    expect(lines).toEqual([{ level: "warn", message: expect.stringMatching(/issuer/), fields: { cause: "Error: status 500" } }])
  })

  test("they are looked for from time to time, and a withdrawn one is refused", async () => {
    const issuer = await freshIssuer([rsa]), { authenticate } = await tokensOf(issuer, { refreshMilliseconds: 20 })
    const old = issuer.token()
    expect(await authenticate(old)).not.toBeNull()
    issuer.publish([ec])
    await eventually(async () => await authenticate(old) === null, { within: 20_000 })
  })

  const outages: readonly (readonly [string, Parameters<Awaited<ReturnType<typeof startIssuer>>["answers"]>[0]])[] = [
    ["refuses", (_, response) => response.writeHead(503).end()],
    ["breaks off", (request) => request.destroy()],
    ["is silent", () => {}],
    ["answers something else", (_, response) => response.writeHead(200).end("<html>")],
    ["has another idea of keys", (_, response) => response.writeHead(200).end(`{"keys": "none"}`)],
    ["leads elsewhere", (_, response) => response.writeHead(302, { location: "/other" }).end()]
  ]
  test.each(outages)("the last ones stay while it %s, and the new ones are found when it is back", async (_, outage) => {
    const issuer = await freshIssuer([rsa]), { authenticate, lines } = await tokensOf(issuer, { refreshMilliseconds: 20, timeoutMilliseconds: 50 })
    // A slow machine may need more than the first 50 ms.
    await eventually(async () => await authenticate(issuer.token()) !== null, { within: 20_000 })
    const before = lines.length
    issuer.answers(outage)
    await eventually(() => lines.length >= before + 2, { within: 20_000 })
    expect(await authenticate(issuer.token({ exp: seconds(99) }))).not.toBeNull()
    issuer.publish([ec])
    issuer.answers()
    await eventually(async () => await authenticate(issuer.token()) !== null, { within: 20_000 })
  })

  test("a start while the issuer is away lets its tokens in when it comes back", async () => {
    const issuer = await freshIssuer([rsa])
    issuer.answers((request) => request.destroy())
    const { authenticate } = await tokensOf(issuer, { cooldownMilliseconds: 20 })
    expect(await authenticate(issuer.token())).toBeNull()
    issuer.answers()
    await eventually(async () => await authenticate(issuer.token()) !== null)
  })
})

test("of very many tokens each is still let in", async () => {
  const issuer = await freshIssuer([ed]), { authenticate } = await tokensOf(issuer)
  for (let i = 0; i < 1_002; i++) expect(await authenticate(issuer.token({ jti: i }))).not.toBeNull()
  expect(issuer.asked()).toBe(1)
})
