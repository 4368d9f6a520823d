import type { Answer } from "./Client.ts";
import { isRecord } from "./isRecord.ts";

/** A refusal as a reason that can be counted (`409 insufficient-stock`) and the detail of this one. */
export function explain({ status, problem, body }: Answer): [reason: string, detail: string] {
  const reason = status < 400 ? `${status} with an unexpected body` : `${status} ${problem ?? "without a problem"}`;
  if (!isRecord(body)) return [reason, ""];
  const detail = typeof body.detail === "string" ? [body.detail] : [];
  const errors = Array.isArray(body.errors) ? body.errors.filter(isRecord) : [];
  return [reason, [...detail, ...errors.map((error) => `${String(error.pointer ?? error.parameter)}: ${String(error.detail)}`)].join("; ")];
}
