/**
 * What the service's own member of `Cache-Status` (RFC 9211) says, shortened to what is worth counting: `hit`,
 * `uri-miss`, `request`, `bypass (cache-unavailable)`. Caches in between put members of their own before or behind it.
 */
export function cacheStatus(header: string | null): string {
  const member = header?.split(",").map((part) => part.trim()).find((part) => /^holdfast(;|\s|$)/.test(part));
  if (member === undefined) return "none";
  const parameters = new Map(member.split(";").slice(1).map((parameter) => {
    const [name = "", value = ""] = parameter.trim().split("=", 2);
    return [name, value.replaceAll('"', "")];
  }));
  const outcome = parameters.has("hit") ? "hit" : parameters.get("fwd") ?? "unknown";
  const detail = parameters.get("detail");
  return detail === undefined ? outcome : `${outcome} (${detail})`;
}
