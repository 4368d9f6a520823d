import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectInvalid } from "./problem.ts";
import { adjust, create, evict, newProduct, patch, post, read } from "./products.ts";

const keeps = async (name: string): Promise<void> => {
  const product = await create({ name });
  expect(product.name).toBe(name);
  expect((await read(product.path)).json.name).toBe(name);
  await evict(product.id);
  expect((await read(product.path)).json.name, "also from the database").toBe(name);
};

describe("strings come back unchanged, from the cache and from the database", () => {
  it.each([
    ["emoji, also joined and with modifiers", "💡 👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇪🇺"],
    ["right-to-left text", "مصباح מנורה"],
    ["bidirectional controls", "\u202Eabc\u202C \u2066x\u2069"],
    ["composed and decomposed letters, without normalisation", "\u00E9 e\u0301 \u212B \uFB01"],
    ["leading, trailing and inner white space", "  a\u00A0 \u3000b\t\n\r "],
    ["a single space", " "],
    ["control characters other than U+0000", "\u0001\u0008\u000B\u001B\u001F\u007F\u0085"],
    ["line separators and a byte order mark", "\u2028\u2029\uFEFF"],
    ["noncharacters and the end of Unicode", "\uFFFE\uFFFF\u{10FFFF}"],
    ["what means something elsewhere", "'; DROP TABLE x; -- \" \\ %00 \\u0000 ${x} {{x}} <b>&amp;"],
  ])("keeps %s", (_, name) => keeps(name));

  it("an emoji written as two escapes is the same emoji", async () => {
    const answer = await call("POST", "/v1/products", {
      raw: JSON.stringify(newProduct({ name: "NAME" })).replace("NAME", "\\ud83d\\udca1"),
    });
    expect(answer.json.name).toBe("💡");
  });

  it("every text field keeps its value", async () => {
    const text = "مصباح 💡 é";
    const sku = `${text} ${randomUUID()}`;
    const product = await create({ sku, name: text, description: text });
    expect((await read(product.path)).json).toMatchObject({ sku, name: text, description: text });
  });
});

describe("strings have 1 to 200 characters", () => {
  it.each(["sku", "name"])("200 characters of %s are accepted and kept", async (field) => {
    const value = randomUUID().padEnd(200, "x");
    const product = await create({ [field]: value });
    expect((await read(product.path)).json[field]).toBe(value);
  });

  it.each(["sku", "name"])("201 characters of %s are refused", async (field) => {
    expectInvalid(await post({ [field]: "x".repeat(201) }), `#/${field}`);
  });

  it.each(["sku", "name", "description"])("an empty %s is refused", async (field) => {
    expectInvalid(await post({ [field]: "" }), `#/${field}`);
  });

  it("a character is a Unicode code point: 200 emoji are accepted, 201 are refused", async () => {
    await keeps("💡".repeat(200));
    expectInvalid(await post({ name: "💡".repeat(201) }), "#/name");
  });

  it("a description has up to 2,000 characters", async () => {
    const description = "é💡".repeat(1_000);
    const product = await create({ description });
    expect((await read(product.path)).json.description).toBe(description);
    expectInvalid(await post({ description: "x".repeat(2_001) }), "#/description");
  });

  it("a reason has 1 to 2,000 characters", async () => {
    const { path } = await create();
    expect((await adjust(path, { delta: 1, reason: "x".repeat(2_000) })).status).toBe(200);
    expectInvalid(await adjust(path, { delta: 1, reason: "x".repeat(2_001) }), "#/reason");
    expectInvalid(await adjust(path, { delta: 1, reason: "" }), "#/reason");
  });

  it("a change keeps to the same lengths", async () => {
    const { path } = await create();
    expectInvalid(await patch(path, { name: "", description: "x".repeat(2_001) }), "#/name", "#/description");
  });
});

describe("U+0000 and lone surrogates are refused, naming the field", () => {
  it.each([
    ["U+0000", "a\\u0000b"],
    ["a high surrogate at the end", "a\\ud83d"],
    ["a high surrogate before a letter", "\\ud83da"],
    ["a low surrogate alone", "\\udca1"],
    ["surrogates in the wrong order", "\\udca1\\ud83d"],
  ])("%s", async (_, escaped) => {
    for (const field of ["sku", "name", "description"]) {
      const raw = JSON.stringify(newProduct({ [field]: "VALUE" })).replace("VALUE", escaped);
      expectInvalid(await call("POST", "/v1/products", { raw }), `#/${field}`);
    }
  });

  it("also in a change and in a reason", async () => {
    const { path } = await create();
    const headers = { "content-type": "application/merge-patch+json" };
    expectInvalid(await call("PATCH", path, { raw: '{"name":"\\u0000"}', headers }), "#/name");
    expectInvalid(await call("POST", `${path}/stock-adjustments`, { raw: '{"delta":1,"reason":"\\udc00"}' }), "#/reason");
  });
});
