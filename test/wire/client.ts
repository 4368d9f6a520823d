import * as http from "node:http";
import * as https from "node:https";
import { urlToHttpOptions } from "node:url";
import { type Issuer, issuersFromEnvironment, type ScopedKeys, scopedKeysFromEnvironment } from "./keys.ts";
import { startOwn } from "./own.ts";

export type Target = {
  readonly url: string;
  /** A key with every scope. */
  readonly key: string;
  /** A key with `catalog:read` and nothing else; without it the tests of 403 are skipped. */
  readonly limitedKey: string | undefined;
  readonly scopedKeys: ScopedKeys;
  /** Whose tokens it takes: one for each algorithm, or fewer. */
  readonly issuers: ReadonlyArray<Issuer>;
};

/** The installation named by the environment, else one of this test file's own, which these variables configure. */
export const target = async (environment: Readonly<Record<string, string>> = {}): Promise<Target> => {
  const url = process.env["HOLDFAST_URL"];
  const key = process.env["HOLDFAST_KEY"];
  if (url === undefined || key === undefined) return startOwn(environment);
  return { url, key, limitedKey: process.env["HOLDFAST_LIMITED_KEY"] || undefined, scopedKeys: scopedKeysFromEnvironment(), issuers: issuersFromEnvironment() };
};

const found = await target();

export const wire = (): Target => found;

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // What came over the wire is judged by the tests, not by a type.
  readonly json: any;
};

export type CallOptions = {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is; wins over `body`. */
  readonly raw?: string | Uint8Array | undefined;
  /** An array sends the header several times; `undefined` leaves out one that is sent by default. */
  readonly headers?: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>;
  /** `null` sends none. */
  readonly key?: string | null | undefined;
  /** Sends the body in pieces, without saying its length. */
  readonly chunked?: boolean;
  /** Another installation than the file's. */
  readonly at?: Target;
};

const PIECE = 64 * 1024;

/**
 * One request. It goes through `node:http`, because fetch adds `Cache-Control: no-cache` to every conditional
 * request, joins repeated headers, and sends neither a foreign `Host` nor a `GET` with a body.
 */
export const call = async (method: string, path: string, options: CallOptions = {}): Promise<Answer> => {
  const { url, key } = options.at ?? wire();
  const base = new URL(url);
  const payload = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const bytes = payload === undefined ? undefined : Buffer.from(payload);
  const sent = options.key === undefined ? key : options.key;

  const headers: Record<string, string | ReadonlyArray<string> | undefined> = {
    authorization: sent === null ? undefined : `Bearer ${sent}`,
    "content-type": bytes === undefined ? undefined : "application/json",
    "content-length": bytes === undefined || options.chunked ? undefined : String(bytes.length),
    "transfer-encoding": options.chunked ? "chunked" : undefined,
    ...options.headers,
  };
  const outgoing: http.OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) outgoing[name] = typeof value === "string" ? value : [...value];
  }

  const { status, raw, text } = await new Promise<{ status: number; raw: Array<string>; text: string }>((resolve, reject) => {
    // A refusal may come before all of the body was sent, and nobody need take the rest: what comes to an end then is the answer, or its own error.
    let answered = false;
    // The path is passed on as written: an URL would tidy up what some tests send on purpose.
    const where = { ...urlToHttpOptions(base), path: base.pathname.replace(/\/$/, "") + path };
    const transport = base.protocol === "https:" ? https : http;
    const request = transport.request({ ...where, method, headers: outgoing }, (response) => {
      answered = true;
      const chunks: Array<Buffer> = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, raw: response.rawHeaders, text: Buffer.concat(chunks).toString("utf8") }));
    });
    request.on("error", (error) => {
      if (!answered) reject(error);
    });
    if (options.chunked && bytes !== undefined) {
      for (let start = 0; start < bytes.length; start += PIECE) request.write(bytes.subarray(start, start + PIECE));
      request.end();
    } else {
      request.end(bytes);
    }
  });

  const received = new Headers();
  for (let at = 0; at + 1 < raw.length; at += 2) received.append(raw[at]!, raw[at + 1]!);
  const isJson = /^application\/(problem\+)?json\b/.test(received.get("content-type") ?? "");
  return { status, headers: received, text, json: isJson && text !== "" ? JSON.parse(text) : undefined };
};
