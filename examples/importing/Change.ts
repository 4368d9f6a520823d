import { createHash } from "node:crypto";

/** A change as it goes over the wire. The body is text: the service compares its bytes. */
export interface Change {
  readonly method: "POST" | "PATCH";
  readonly path: string;
  readonly body: string;
  readonly idempotencyKey: string | null;
}

/** The same parts give the same key, in any run. What is personal in them does not show: it is a hash. */
export function keyOf(dataSet: string, parts: readonly (string | number)[]): string {
  return `${dataSet}-${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}

export const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
