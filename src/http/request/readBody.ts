/** Bytes a request may carry. The service keeps a body in memory whole: what is digested for the `Idempotency-Key` are its bytes. */
export const MAX_BODY_BYTES = 1024 * 1024

/**
 * The bytes of the request, or `"too-large"`. A request that declares more than the limit is refused without reading any of it; one that declares
 * nothing is counted as it comes. Rejects if the client hangs up.
 */
export const readBody = async (request: Request, limit = MAX_BODY_BYTES): Promise<Uint8Array | "too-large"> => {
  const declared = request.headers.get("content-length")
  if (declared === null) return readStream(request.body, limit)
  if (Number(declared) > limit) return "too-large"
  // Node's parser ends a body at its declared length, and `arrayBuffer` spares making a web stream of it.
  const bytes = new Uint8Array(await request.arrayBuffer())
  return bytes.length > limit ? "too-large" : bytes
}

const readStream = async (body: Request["body"], limit: number): Promise<Uint8Array | "too-large"> => {
  if (body === null) return new Uint8Array()
  const chunks: Array<Uint8Array> = []
  let length = 0
  // Leaving the loop cancels the stream. @hono/node-server keeps the socket all the same, so that the 413 can be sent, and drains it afterwards.
  for await (const chunk of body) {
    length += chunk.length
    if (length > limit) return "too-large"
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}
