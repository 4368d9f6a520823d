import type { Stand } from "./Fault.ts";
import type { Entity, History, Told, Violation } from "./History.ts";
import type { Judge } from "./judge.ts";
import { ask } from "./requests.ts";
import type { Watch } from "./watch.ts";

const clock = (ms: number) => `${(ms / 1_000).toFixed(3).padStart(9)} s`;
// Of what happened to everybody, what lies around the story of one entity.
const AROUND_MS = 5_000, MOST_LINES = 120;

/** All that is known of an entity, in the order in which it happened: what clients did, what was done to the servers, what the log of events and each process' memory say. */
export const timelineOf = async (entity: Entity, { apis, relays, truth }: Stand, history: History): Promise<string> => {
  const first = entity.story.at(-MOST_LINES)?.at ?? 0;
  const lines: Told[] = [...entity.story.slice(-MOST_LINES), ...history.events.filter(({ at }) => at > first - AROUND_MS)].sort((a, b) => a.at - b.at);
  const out = lines.map(({ at, who, what }) => `${clock(at)}  ${who === "" ? `*** ${what}` : `${who}: ${what}`}`);
  const events = await truth.query(
    "select version_id, type, epoch, xid, seq, recorded_at, metadata->>'request' as key from outbox where kind = $1 and entity_id = $2 order by version_id desc limit 20", [entity.kind, entity.id],
  ).catch((error: unknown) => [{ error: String(error) }]);
  out.push("  the outbox, newest first:", ...events.map((event) => `    ${JSON.stringify(event)}`));
  for (const member of [...apis, ...relays]) {
    const explained = await ask(member, "GET", `/ops/entries/${entity.kind}/${entity.id}`, {}, 5_000);
    if (explained?.status !== 200) continue;
    const { row, entry, lease, queued, verdict, transitions } = explained.body;
    out.push(`  ${member.name} explains: ${JSON.stringify({ verdict, row, entry, lease, queued })}`, ...transitions.map((one: unknown) => `    ${JSON.stringify(one)}`));
  }
  return out.join("\n");
};

export const printViolations = async (violations: readonly Violation[], stand: Stand, history: History): Promise<void> => {
  const shown = new Set<Entity>();
  for (const { at, what, entity } of violations.slice(0, 10)) {
    console.log(`\nVIOLATION ${clock(at).trim()}: ${what}`);
    if (entity === null || shown.has(entity) || shown.size >= 3) continue;
    shown.add(entity);
    console.log(`The history of ${entity.kind} ${entity.id}:\n${await timelineOf(entity, stand, history)}`);
  }
  if (violations.length > 10) console.log(`\n… and ${violations.length - 10} more.`);
};

export const printVerdict = (history: History, judge: Judge, watch: Watch, faults: ReadonlyMap<string, number>, extra: readonly string[]): void => {
  const { counts, entities } = history, get = (name: string) => counts.get(name) ?? 0;
  const rest = [...counts].filter(([name]) => name.startsWith("answers") || name.startsWith("no answer") || name.startsWith("tokens")).map(([name, count]) => `${count} ${name}`);
  console.log([
    "",
    `writes acknowledged    ${get("writes")}, ${judge.totals.found} of them looked for and found by their keys${judge.totals.lost > 0 ? `, ${judge.totals.lost} gone with a primary` : ""}`,
    `reads                  ${get("reads")}, ${get("reads with a token")} with a token`,
    `other answers          ${rest.join(", ") || "none"}`,
    `faults                 ${[...faults].sort().map(([name, count]) => `${name} ${get(`played ${name}`) > 0 ? `${get(`played ${name}`)} of ` : ""}${count}`).join(", ") || "none"} (of those that come at a step: so many were played to their end)`,
    `entities               ${entities.size}, compared ${judge.totals.compared} times, verified ${judge.totals.verified}; ${judge.totals.firstLookWrong} were not right at the first look`,
    `settled by the relays  ${watch.settled()} entries, of which ${watch.repairs()} were behind and repaired`,
    `stale per million      ${Object.entries(watch.stalePerMillion()).map(([age, value]) => `${age} ${value ?? "-"}`).join(", ")} (by the age of the write when the relay looked)`,
    `retry queue            ${watch.mostQueued()} rows at most`,
    ...extra,
  ].join("\n"));
};
