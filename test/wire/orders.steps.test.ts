import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { listen } from "./changeStream.ts";
import { call } from "./client.ts";
import { statuses, versionsOf, withToken } from "./entries.ts";
import { ORDERS, place, placeUntil, type Status, STATUSES, type Step, STEP_BODIES, STEPS, take } from "./orders.ts";
import { expectInvalid, expectProblem } from "./problem.ts";
import { read } from "./products.ts";
import { expectReplay, newKey } from "./replay.ts";

/** From which status a step leads where, and what it is refused with from every other. */
const RULES: Record<Step, { from: ReadonlyArray<Status>; to: Status; refusal: string }> = {
  payment: { from: ["placed"], to: "paid", refusal: "order-not-placed" },
  shipment: { from: ["paid"], to: "shipped", refusal: "order-not-paid" },
  delivery: { from: ["shipped"], to: "delivered", refusal: "order-not-shipped" },
  cancellation: { from: ["placed", "paid"], to: "cancelled", refusal: "order-not-cancellable" },
};

const table = STEPS.flatMap((step) => STATUSES.map((status) => [step, status, RULES[step]] as const));
const allowed = table.filter(([, status, { from }]) => from.includes(status));
const outOfTurn = table.filter(([, status, { from }]) => !from.includes(status));

const unchanged = async (path: string, before: string): Promise<void> => {
  expect((await read(path, { "cache-control": "no-cache" })).text).toBe(before);
};

/** An order from which the step may be taken. */
const readyFor = (step: Step) => placeUntil(RULES[step].from[0]!);

describe("a step in turn", () => {
  it.each(allowed)("%s of an order that is %s answers 200 with the order as GET gives it, one version further", async (step, status, { to }) => {
    const { path } = await placeUntil(status);
    const before = (await read(path)).json;
    const answer = await take(path, step);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.headers.has("location")).toBe(false);
    expect(answer.json).toMatchObject({ status: to, versionId: before.versionId + 1, lines: before.lines, total: before.total });
    expect((await read(path)).text).toBe(answer.text);
    expect((await read(path, withToken(answer))).text).toBe(answer.text);
  });

  it("a payment is shown with its reference, a shipment with carrier and tracking number, and both stay", async () => {
    const { path } = await placeUntil("shipped");
    const { json } = await take(path, "delivery");
    expect(json.payment).toMatchObject({ reference: "pay-4711" });
    expect(json.shipment).toMatchObject({ carrier: "DHL", trackingNumber: "00340434161094042557" });
  });

  it("a cancelled order keeps its payment", async () => {
    const { path } = await placeUntil("paid");
    expect((await take(path, "cancellation")).json).toMatchObject({ status: "cancelled", payment: { reference: "pay-4711" }, shipment: null });
  });

  it("a delivery takes no body, or an empty object", async () => {
    for (const body of [undefined, {}]) {
      const { path } = await placeUntil("shipped");
      expect((await call("POST", `${path}/delivery`, { body })).json).toMatchObject({ status: "delivered" });
    }
  });

  it("all of them are told by GET /v1/changes, as changes of the order", async () => {
    const stream = await listen();
    const { id, path } = await placeUntil("delivered");
    const changes = await stream.changesOf([id], 4);
    expect(changes.map(({ data }) => [data.kind, data.versionId])).toEqual([1, 2, 3, 4].map((version) => ["order", version]));
    expect(await versionsOf(path)).toEqual([1, 2, 3, 4]);
  });
});

describe("a step out of turn is 409 and changes nothing", () => {
  it.each(outOfTurn)("%s of an order that is %s", async (step, status, { refusal }) => {
    const { path } = await placeUntil(status);
    const before = (await read(path)).text;
    expectProblem(await take(path, step), 409, refusal);
    await unchanged(path, before);
  });
});

describe("of two steps at the same moment", () => {
  it.each(STEPS)("both a %s, exactly one succeeds", async (step) => {
    const { path } = await readyFor(step);
    const { versionId: before } = (await read(path)).json;
    const answers = await Promise.all([take(path, step), take(path, step)]);
    expect(statuses(answers)).toEqual([200, 409]);
    expectProblem(answers.find((answer) => answer.status === 409)!, 409, RULES[step].refusal);
    expect((await read(path, { "cache-control": "no-cache" })).json.versionId).toBe(before + 1);
  });

  it("a shipment and a cancellation, exactly one succeeds, and the order is what that one made of it", async () => {
    const { path } = await placeUntil("paid");
    const [shipment, cancellation] = await Promise.all([take(path, "shipment"), take(path, "cancellation")]);
    expect(statuses([shipment, cancellation])).toEqual([200, 409]);
    expect((await read(path)).json.status).toBe(shipment.status === 200 ? "shipped" : "cancelled");
  });

  it("twenty payments with different references, one succeeds, and its reference is the one that is kept", async () => {
    const { path } = await place();
    const references = Array.from({ length: 20 }, () => randomUUID());
    const answers = await Promise.all(references.map((reference) => call("POST", `${path}/payment`, { body: { reference } })));
    const winner = answers.findIndex((answer) => answer.status === 200);
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    expect((await read(path, { "cache-control": "no-cache" })).json.payment).toMatchObject({ reference: references[winner] });
  });
});

describe.each(STEPS)("If-Match on a %s", (step) => {
  it("lets it through if the version is the one named, or any", async () => {
    for (const tagOf of [(etag: string) => etag, () => "*"]) {
      const { path } = await readyFor(step);
      const etag = (await read(path)).headers.get("etag") ?? "";
      expect((await take(path, step, { "if-match": tagOf(etag) })).status).toBe(200);
    }
  });

  it("is 412 version-mismatch if the version moved or the tag is weak, and changes nothing", async () => {
    const { path } = await readyFor(step);
    const current = await read(path);
    for (const tag of ['"none"', `W/${current.headers.get("etag")}`]) {
      expectProblem(await take(path, step, { "if-match": tag }), 412, "version-mismatch");
    }
    await unchanged(path, current.text);
  });

  it("that is malformed is 400", async () => {
    const { path } = await readyFor(step);
    expectProblem(await take(path, step, { "if-match": "1" }), 400, "malformed");
  });

  it("comes before the domain's refusal: 412, not 409", async () => {
    const { path } = await placeUntil("cancelled");
    expectProblem(await take(path, step, { "if-match": '"none"' }), 412, "version-mismatch");
  });
});

describe.each(STEPS)("an Idempotency-Key on a %s", (step) => {
  it("gets the first answer again, although the order has moved on and the step would be out of turn", async () => {
    const headers = newKey();
    const { path } = await readyFor(step);
    const first = await take(path, step, headers);
    expectReplay(await take(path, step, headers), first);
    if (step === "payment") await take(path, "shipment");
    expectReplay(await take(path, step, headers), first);
  });

  it("at the same moment is one step, with the same answer twice", async () => {
    const headers = newKey();
    const { path } = await readyFor(step);
    const { versionId } = (await read(path)).json;
    const [one, other] = await Promise.all([take(path, step, headers), take(path, step, headers)]);
    expect([one.status, other.status]).toEqual([200, 200]);
    expect(other.text).toBe(one.text);
    expect((await read(path, { "cache-control": "no-cache" })).json.versionId).toBe(versionId + 1);
  });

  it("stays free when the step is refused", async () => {
    const headers = newKey();
    const { path } = await placeUntil("cancelled");
    expectProblem(await take(path, step, headers), 409, RULES[step].refusal);
    const next = await readyFor(step);
    expect((await take(next.path, step, headers)).status).toBe(200);
  });

  it("belongs to that order: on another it is 422 idempotency-key-reused, and takes no effect", async () => {
    const headers = newKey();
    const [one, other] = [await readyFor(step), await readyFor(step)];
    expect((await take(one.path, step, headers)).status).toBe(200);
    const before = (await read(other.path)).text;
    expectProblem(await take(other.path, step, headers), 422, "idempotency-key-reused");
    await unchanged(other.path, before);
  });
});

describe("what a step says", () => {
  const post = (path: string, step: Step, body: unknown) => call("POST", `${path}/${step}`, { body });
  const REQUIRED: ReadonlyArray<[Step, ReadonlyArray<string>]> = [
    ["payment", ["reference"]], ["shipment", ["carrier", "trackingNumber"]], ["cancellation", ["reason"]],
  ];

  it.each(REQUIRED)("a %s needs %j, and nothing of it empty or null", async (step, fields) => {
    const { path } = await readyFor(step);
    const pointers = fields.map((field) => `#/${field}`);
    expectInvalid(await post(path, step, {}), ...pointers);
    for (const bad of ["", null, 7, {}]) {
      expectInvalid(await post(path, step, Object.fromEntries(fields.map((field) => [field, bad]))), ...pointers);
    }
    expectInvalid(await post(path, step, []), "#");
    expectProblem(await post(path, step, undefined), 400, "malformed");
  });

  it.each(STEPS)("a %s knows no other field", async (step) => {
    const { path } = await readyFor(step);
    expectInvalid(await post(path, step, { ...STEP_BODIES[step], note: "x", status: "paid" }), "#/note", "#/status");
  });

  it("a reason has up to 2,000 characters, everything else 200", async () => {
    const text = (length: number) => "💡".repeat(length);
    const one = await place();
    expectInvalid(await post(one.path, "payment", { reference: text(201) }), "#/reference");
    expectInvalid(await post(one.path, "cancellation", { reason: text(2_001) }), "#/reason");
    expect((await post(one.path, "payment", { reference: text(200) })).json.payment).toMatchObject({ reference: text(200) });
    expectInvalid(await post(one.path, "shipment", { carrier: text(201), trackingNumber: text(201) }), "#/carrier", "#/trackingNumber");
    expect((await post(one.path, "shipment", { carrier: text(200), trackingNumber: text(200) })).status).toBe(200);
    expect((await post((await place()).path, "cancellation", { reason: text(2_000) })).status).toBe(200);
  });

  it("an invalid one is 422 before 409, and an unknown order 404 after it", async () => {
    const { path } = await placeUntil("cancelled");
    expectInvalid(await post(path, "payment", { reference: "" }), "#/reference");
    for (const id of [randomUUID(), "x"]) {
      expectInvalid(await post(`${ORDERS}/${id}`, "payment", { reference: "" }), "#/reference");
      for (const step of STEPS) expectProblem(await take(`${ORDERS}/${id}`, step), 404, "not-found");
    }
  });

  it.each(STEPS)("of a %s there is only POST: 405 with Allow", async (step) => {
    const { path } = await place();
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await call(method, `${path}/${step}`);
      expectProblem(answer, 405, "method-not-allowed");
      expect(answer.headers.get("allow")?.split(/, */).filter((name) => name !== "OPTIONS")).toEqual(["POST"]);
    }
  });
});
