import { expect, onTestFinished } from "vitest";
import { wire } from "./client.ts";

export type Change = { readonly id: string; readonly event: string; readonly data: any };
type Line = { readonly comment: string } | { readonly change: Change };

/** The lines of an event stream, as the WHATWG rules read them. */
async function* parse(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Line, void> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let fields: Record<string, string> = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).replaceAll("\r\n", "\n").split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith(":")) yield { comment: line.slice(1) };
      else if (line !== "") {
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line)!;
        fields[name!] = fields[name!] === undefined ? value! : `${fields[name!]}\n${value}`;
      } else if (fields["data"] !== undefined) {
        const { id = "", event = "message", data } = fields;
        fields = {};
        yield { change: { id, event, data: JSON.parse(data!) } };
      }
    }
  }
}

/** Listens to `GET /v1/changes` until the test is over. */
export const listen = async (query = "", headers: Record<string, string> = {}) => {
  const { url, key } = wire();
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const response = await fetch(`${url.replace(/\/$/, "")}/v1/changes${query}`, {
    headers: { authorization: `Bearer ${key}`, accept: "text/event-stream", ...headers },
    signal: stop.signal,
  });
  expect(response.status).toBe(200);
  // Taken at once: of a response that nobody holds any more, the garbage collector ends a body that nobody reads yet.
  const lines = parse(response.body!.getReader());
  const line = async (): Promise<Line> => {
    const { done, value } = await lines.next();
    if (done) throw new Error("the stream ended");
    return value!;
  };
  const change = async (): Promise<Change> => {
    for (;;) {
      const next = await line();
      if ("change" in next) return next.change;
    }
  };
  const comment = async (): Promise<string> => {
    for (;;) {
      const next = await line();
      if ("comment" in next) return next.comment;
    }
  };
  /** The next changes of these entities, what others do at the same time left out. */
  const changesOf = async (ids: ReadonlyArray<string>, count: number): Promise<Array<Change>> => {
    const found: Array<Change> = [];
    while (found.length < count) {
      const next = await change();
      if (ids.includes(next.data.id)) found.push(next);
    }
    return found;
  };
  return { headers: response.headers, change, comment, changesOf };
};
