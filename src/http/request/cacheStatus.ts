/** How the cache took part in an answer (RFC 9211). */
export type CacheStatus =
  | { readonly is: "hit"; readonly detail?: string }
  | {
    readonly is: "fwd"
    readonly reason: "uri-miss" | "stale" | "request" | "bypass" | "method"
    /** The entry now is what was answered. */
    readonly stored?: boolean
    /** Shared another request's load. */
    readonly collapsed?: boolean
    /** Printable ASCII. */
    readonly detail?: string
  }

const SF_TOKEN = /^[A-Za-z*][\w!#$%&'*+.^`|~:/-]*$/

const sfTokenOrString = (text: string) => SF_TOKEN.test(text) ? text : `"${text.replace(/["\\]/g, "\\$&")}"`

/** The value of the header `Cache-Status`. */
export const cacheStatus = (status: CacheStatus): string => {
  const forward = status.is === "hit" ? "" : `=${status.reason}${status.stored ? "; stored" : ""}${status.collapsed ? "; collapsed" : ""}`
  const detail = status.detail === undefined ? "" : `; detail=${sfTokenOrString(status.detail)}`
  return `holdfast; ${status.is}${forward}${detail}`
}
