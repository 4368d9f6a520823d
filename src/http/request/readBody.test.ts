import { once } from "node:events"
import { connect, type AddressInfo } from "node:net"
import { serve } from "@hono/node-server"
import { afterAll, beforeAll, expect, test } from "vitest"
import { MAX_BODY_BYTES, readBody } from "./readBody.ts"

type Body = NonNullable<RequestInit["body"]>

const post = (body: Body, headers: Record<string, string> = {}) =>
  new Request("http://localhost/", { method: "POST", body, headers, duplex: "half" } as RequestInit)

const streamOf = (...chunks: ReadonlyArray<Uint8Array>) => ReadableStream.from(chunks) as unknown as Body

test("a request without a body has no bytes", async () => {
  expect(await readBody(new Request("http://localhost/"))).toEqual(new Uint8Array())
})

test("a body of undeclared length is put together from its chunks", async () => {
  const body = streamOf(new Uint8Array([1, 2]), new Uint8Array(), new Uint8Array([3]))
  expect([...await readBody(post(body)) as Uint8Array]).toEqual([1, 2, 3])
})

test("exactly the limit is accepted, one byte more is not", async () => {
  expect(await readBody(post(streamOf(new Uint8Array(MAX_BODY_BYTES))))).toHaveLength(MAX_BODY_BYTES)
  expect(await readBody(post(streamOf(new Uint8Array(MAX_BODY_BYTES), new Uint8Array(1))))).toBe("too-large")
  expect(await readBody(post("12345", { "content-length": "5" }), 5)).toHaveLength(5)
  expect(await readBody(post("123456", { "content-length": "6" }), 5)).toBe("too-large")
})

test("a body declared too large is refused without reading any of it", async () => {
  let pulled = 0
  const body = new ReadableStream({ pull: () => void pulled++ }, { highWaterMark: 0 }) as unknown as Body
  expect(await readBody(post(body, { "content-length": String(MAX_BODY_BYTES + 1) }))).toBe("too-large")
  expect(pulled).toBe(0)
})

test("a declared length that lies is found out", async () => {
  expect(await readBody(post("123456", { "content-length": "5" }), 5)).toBe("too-large")
})

test("a stream that fails is not taken for a body that ended", async () => {
  const body = new ReadableStream({ pull: (controller) => controller.error(new Error("hung up")) }) as unknown as Body
  await expect(readBody(post(body))).rejects.toThrow("hung up")
})

const server = serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: async (request) => {
    const body = await readBody(request)
    return body === "too-large" ? new Response(body, { status: 413 }) : new Response(String(body.length))
  }
})
const port = () => (server.address() as AddressInfo).port
beforeAll(async () => { if (!server.listening) await once(server, "listening") })
afterAll(async () => { server.close(); await once(server, "close") })

test("over a socket, a declared body arrives whole", async () => {
  const answer = await fetch(`http://127.0.0.1:${port()}/`, { method: "POST", body: "x".repeat(MAX_BODY_BYTES) })
  expect(await answer.text()).toBe(String(MAX_BODY_BYTES))
})

test("over a socket, a client that streams too much reads its 413 instead of a reset", async () => {
  const socket = connect(port(), "127.0.0.1")
  socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
  const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`
  for (let sent = 0; sent <= MAX_BODY_BYTES; sent += 0x10000) socket.write(chunk)
  const [answer] = await once(socket, "data") as [Buffer]
  socket.destroy()
  expect(answer.toString("latin1")).toMatch(/^HTTP\/1\.1 413 /)
})
