import type { Quota } from "../domain/access/RateLimiter.ts"
import type { Headers } from "./respond.ts"

/** Structured fields of draft-ietf-httpapi-ratelimit-headers: the quota `q` of a window of `w` seconds, and what remains for the next `t` seconds at most. */
export const quotaHeaders = ({ limit, remaining }: Quota): Headers => ({
  "RateLimit-Policy": `"default";q=${limit};w=1`,
  "RateLimit": `"default";r=${remaining};t=1`
})
