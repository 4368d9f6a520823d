import { expect } from "vitest";
import { type Answer, call, type CallOptions } from "./client.ts";

export type Page = { readonly path: string; readonly answer: Answer };

/** Every page of a list, from the first to the last. */
export const pages = async (path: string, headers: CallOptions["headers"] = {}): Promise<Array<Page>> => {
  const walked: Array<Page> = [];
  let next: string | null = path;
  while (next !== null) {
    const answer: Answer = await call("GET", next, { headers });
    expect(answer.status, answer.text).toBe(200);
    walked.push({ path: next, answer });
    const cursor: string | null = answer.json.nextCursor;
    next = cursor === null ? null : `${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(cursor)}`;
  }
  return walked;
};

export const items = (walked: ReadonlyArray<Page>): Array<any> => walked.flatMap((page) => page.answer.json.items);

/** Discontinued products are few, also in a used installation: the list in which a test finds its own. */
export const DISCONTINUED = "/v1/products?status=discontinued&limit=200";
