import { randomUUID } from "node:crypto";
import { type Answer, type Holdfast, type Product, request } from "./holdfast.ts";

/** One request of a load, and what came of it. */
export type Sent = {
  readonly is: "read" | "write";
  readonly id: string;
  /** The idempotency key of a write. */
  readonly key: string;
  /** Whether a read carried the token of a write. */
  readonly token: boolean;
  readonly at: number;
  readonly ms: number;
  /** Null where no answer came; then `error` says why. */
  readonly answer: Answer | null;
  readonly error: string;
};

const percentile = (sorted: readonly number[], share: number) =>
  sorted.length === 0 ? Number.NaN : Math.round(10 * sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!) / 10;

/** Of the requests that began in a stretch of time. */
export const latency = (sent: readonly Sent[], is: Sent["is"], from: number, to: number) => {
  const all = sent.filter((one) => one.is === is && one.at >= from && one.at < to).map(({ ms }) => ms).sort((a, b) => a - b);
  return { count: all.length, p10: percentile(all, 0.1), p50: percentile(all, 0.5), p99: percentile(all, 0.99), max: percentile(all, 1) };
};

const reasonOf = (error: unknown) => {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
};

/**
 * Clients that write (one more in stock, under an idempotency key) and read twice in turn, each as fast as it is answered. The first of the reads carries the
 * token of the last write that any client knows of, so that it may not be older; the second carries none.
 */
export const startLoad = (apis: readonly Pick<Holdfast, "url">[], products: readonly Pick<Product, "id" | "versionId">[], { clients = 16 } = {}) => {
  const sent: Sent[] = [];
  const tooOld: unknown[] = [];
  const known = new Map<string, { version: number; token: string }>(products.map(({ id, versionId }) => [id, { version: versionId, token: "" }]));
  const over = new AbortController();

  const send = async (is: Sent["is"], client: number, turn: number, id: string, careful = false): Promise<Sent> => {
    const { url } = apis[(client + turn) % apis.length]!;
    const key = is === "write" ? randomUUID() : "";
    const at = performance.now();
    let answer: Answer | null = null, error = "";
    try {
      const token = careful ? known.get(id)!.token : "";
      answer = await (is === "write"
        ? request(url, "POST", `/v1/products/${id}/stock-adjustments`, { body: { delta: 1 }, headers: { "idempotency-key": key, "x-request-id": key } })
        : request(url, "GET", `/v1/products/${id}`, { headers: token === "" ? {} : { "consistency-token": token } }));
    } catch (thrown) {
      error = reasonOf(thrown);
    }
    const one: Sent = { is, id, key, token: careful, at, ms: performance.now() - at, answer, error };
    sent.push(one);
    return one;
  };

  const client = async (number: number) => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const id = products[(number * 7 + turn * 13) % products.length]!.id;
      const wrote = await send("write", number, turn, id);
      const body = wrote.answer?.status === 200 ? (wrote.answer.body as Product) : null;
      if (body !== null && body.versionId > known.get(id)!.version) known.set(id, { version: body.versionId, token: wrote.answer!.headers.get("consistency-token")! });
      for (let again = 0; again < 2 && !over.signal.aborted; again++) {
        const { version } = known.get(id)!;
        const careful = again === 0;
        const { answer } = await send("read", number, turn + again, id, careful);
        if (careful && answer?.status === 200 && answer.body.versionId < version) tooOld.push({ id, wanted: version, got: answer.body, status: answer.headers.get("cache-status") });
      }
    }
  };
  const all = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));

  return {
    sent,
    /** Reads that were older than the token that they carried. */
    tooOld,
    /** What was not answered with success. */
    failures: () => sent.filter(({ answer }) => answer === null || answer.status >= 300).map(({ is, answer, error }) => `${is}: ${answer === null ? error : answer.text}`),
    /** The newest version of every product that was acknowledged before a moment. */
    versionsAt: (moment: number) => {
      const versions = new Map(products.map(({ id, versionId }) => [id, versionId]));
      for (const { is, id, answer, at, ms } of sent) {
        if (is === "write" && answer?.status === 200 && at + ms <= moment) versions.set(id, Math.max(versions.get(id)!, answer.body.versionId));
      }
      return versions;
    },
    /** Stock that was acknowledged, by product. */
    acknowledged: () => {
      const stock = new Map<string, number>(products.map(({ id }) => [id, 0]));
      for (const { is, id, answer } of sent) if (is === "write" && answer?.status === 200) stock.set(id, stock.get(id)! + 1);
      return stock;
    },
    /** Ends when every request that was begun has ended. */
    stop: async () => {
      over.abort();
      await all;
    },
  };
};
export type Load = ReturnType<typeof startLoad>;
