import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { eventually } from "../support/eventually.ts";
import { startCaches } from "./caches.ts";
import type { Stand } from "./Fault.ts";
import type { History } from "./History.ts";
import { type Member, startMember } from "./Member.ts";
import { KEY } from "./requests.ts";
import { startTruth } from "./truth.ts";

const run = promisify(execFile);

// Seven processes that start at once on two cores, which others may be busy with.
const READY_MS = 240_000;

export type Sizes = { readonly apis: number; readonly relays: number };

/** Postgres and its replica, Redis with replica and Sentinel, and the processes of Holdfast whose sources are under `root`. What has to be ended is given to `whenOver`. */
export const startStand = async (root: string, { apis, relays }: Sizes, history: History, whenOver: (work: () => Promise<void>) => void): Promise<Stand & { readonly isOver: (over: boolean) => void }> => {
  const members: Member[] = [], spared = new Set<Member>();
  // New connections go there, and the ones that lead to the server of before end.
  const redirect = (link: "redis" | "postgres") => async (port: number, stay = false) => {
    history.log(`${link === "redis" ? "Sentinel says" : "Postgres was promoted"}: ${link} is at port ${port}`);
    await Promise.all(members.map(async (member) => {
      if (stay) return member[link].move(port);
      if (link === "postgres" && spared.has(member)) return;
      member[link].redirect(port);
      await member[link].cut();
      await member[link].restore();
    }));
  };
  const folder = await mkdtemp(join(tmpdir(), "holdfast-chaos-"));
  whenOver(() => rm(folder, { recursive: true, force: true }));
  const [truth, caches] = await Promise.all([startTruth(whenOver, redirect("postgres")), startCaches(redirect("redis"))]);
  whenOver(caches.stop);

  const keyring = join(folder, "keyring.json");
  const environment = { PATH: process.env["PATH"], HOME: process.env["HOME"], DATABASE_URL: truth.primary().url, KEYRING_FILE: keyring };
  const command = (...args: string[]) => run(process.execPath, [join(root, "src/cli/main.ts"), ...args], { env: environment });
  await command("keys", "generate");
  await command("migrate");

  const servers = { databaseUrl: truth.databaseUrl, postgresPort: truth.primary().port, redisPort: caches.master().port };
  const start = async (role: "api" | "relay", name: string, own: Readonly<Record<string, string>> = {}) => {
    const member = await startMember(name, role, { root, servers, environment: { KEYRING_FILE: keyring, ...own }, key: KEY, onDefect: (text) => history.violate(text) });
    whenOver(member.stop);
    members.push(member);
    // Sentinel may have named another master before it was one of those who are led there.
    member.redis.redirect(caches.master().port);
    return member;
  };
  const started = {
    apis: await Promise.all(Array.from({ length: apis }, (_, n) => start("api", `api-${n + 1}`))),
    relays: await Promise.all(Array.from({ length: relays }, (_, n) => start("relay", `relay-${n + 1}`))),
    actors: await Promise.all([start("api", "actor-1", { SYNC_BUDGET_MS: "900" }), start("api", "actor-2")]),
  };
  await eventually(() => members.every((member) => member.url() !== null), { within: READY_MS });

  let over = new AbortController();
  return {
    truth,
    caches,
    ...started,
    history,
    open: [],
    quiet: [],
    spared,
    pause: (ms) => delay(Math.max(0, ms), undefined, { signal: over.signal }).catch(() => undefined),
    isOver: (is) => {
      over.abort();
      if (!is) over = new AbortController();
    },
  };
};
