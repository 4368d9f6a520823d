import { describe, expect, it } from "vitest";
import { type Answer, call, type Target, target, wire } from "./client.ts";
import { expectProblem } from "./problem.ts";
import { until } from "./until.ts";

const ASKED = "/v1/products?limit=1";
// Low, so that it is reached at once; high enough that a test's few other requests are let through.
const limited = await target({ RATE_LIMIT_PER_SECOND: "20" });
const ask = (key?: string | null, at = limited) => call("GET", ASKED, { key, at });
const isOn = async (at: Target) => (await ask(undefined, at)).headers.has("ratelimit-policy");
const [usualIsOn, limitedIsOn] = [await isOn(wire()), await isOn(limited)];

// RFC 9651: a list of strings with integers for parameters, as the draft on RateLimit fields has it.
const ITEM = /^ *"([^"\\]+)"((?:; *[a-z]+=(?:\d+|"[^"]*"|:[A-Za-z0-9+/=]*:))*) *$/;
const fieldOf = (answer: Answer, name: string): Record<string, number> => {
  const match = ITEM.exec(answer.headers.get(name) ?? "");
  expect(match, `${name}: ${answer.headers.get(name)}`).not.toBeNull();
  const parameters = match![2]!.split(";").slice(1).map((parameter) => parameter.trim().split("="));
  return Object.fromEntries(parameters.map(([parameter, value]) => [parameter, Number(value)]));
};

/** Asks as fast as it can until it is told to stop, but not for ever. */
const exhaust = (key?: string): Promise<Answer> =>
  until("429", async () => (await Promise.all(Array.from({ length: 200 }, () => ask(key)))).find((answer) => answer.status === 429), 20_000);

describe.skipIf(usualIsOn)("where RATE_LIMIT_PER_SECOND is not set", () => {
  it("answers have neither RateLimit-Policy nor RateLimit", async () => {
    for (const answer of [await ask(undefined, wire()), await ask(null, wire())]) {
      for (const name of ["ratelimit", "ratelimit-policy"]) expect(answer.headers.has(name), name).toBe(false);
    }
  });
});

describe.runIf(limitedIsOn)("where RATE_LIMIT_PER_SECOND is set", () => {
  it("RateLimit-Policy names the quota and RateLimit what is left of it", async () => {
    const answer = await until("an answer", async () => {
      const next = await ask();
      return next.status === 200 ? next : undefined;
    });
    const { q } = fieldOf(answer, "ratelimit-policy"), { r } = fieldOf(answer, "ratelimit");
    expect(q).toBeGreaterThan(0);
    expect(r).toBeGreaterThanOrEqual(0);
    expect(r).toBeLessThanOrEqual(q!);
  });

  it("above it is 429 rate-limited with Retry-After and the same headers, and after that time it goes on", async () => {
    const answer = await exhaust();
    expectProblem(answer, 429, "rate-limited");
    expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect(fieldOf(answer, "ratelimit").r).toBe(0);
    fieldOf(answer, "ratelimit-policy");
    const seconds = Number(answer.headers.get("retry-after"));
    await until("let through again", async () => ((await ask()).status === 200 ? true : undefined), seconds * 1_000 + 20_000);
  });

  it("429 comes after 401, and before 403, 404 and 422", async () => {
    const asked = [["GET", "/v1/nothing"], ["POST", "/v1/orders"], ["GET", "/v1/orders/x"]] as const;
    await until("429 for all of them", async () => {
      await exhaust();
      const answers = await Promise.all(asked.map(([method, path]) => call(method, path, { body: method === "POST" ? {} : undefined, at: limited })));
      return answers.every((answer) => answer.status === 429) ? true : undefined;
    }, 30_000);
    await exhaust();
    expectProblem(await ask(null), 401, "unauthenticated");
  });

  it("health is never limited", async () => {
    await exhaust();
    for (const path of ["/healthz", "/readyz"]) expect((await call("GET", path, { key: null, at: limited })).status).toBe(200);
  });

  it.runIf(limited.limitedKey !== undefined)("each key has a quota of its own", async () => {
    const key = limited.limitedKey;
    await until("one limited, the other not", async () => {
      await exhaust();
      return (await ask(key)).status === 200 ? true : undefined;
    }, 30_000);
  });
});
