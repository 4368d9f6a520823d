import { describe, expect, it } from "vitest";
import { call } from "./client.ts";
import { expectBadQuery, expectInvalid, expectProblem } from "./problem.ts";
import { create, newProduct, patch, post, read } from "./products.ts";

const MIB = 1024 * 1024;

const send = (raw: string | Uint8Array, headers: Record<string, string | undefined> = {}) =>
  call("POST", "/v1/products", { raw, headers });

/** A valid product in exactly this many bytes: JSON allows white space around it. */
const productOf = (bytes: number): string => {
  const json = JSON.stringify(newProduct());
  return json + " ".repeat(bytes - json.length);
};

/** A valid body with these bytes in place of the product's name. */
const named = (...bytes: ReadonlyArray<number>): Uint8Array => {
  const [before, after] = JSON.stringify(newProduct({ name: "NAME" })).split("NAME");
  return Buffer.concat([Buffer.from(before!), Uint8Array.from(bytes), Buffer.from(after!)]);
};

describe("malformed JSON is 400", () => {
  it.each([
    ["white space alone", "  \n"],
    ["a body that ends early", '{"sku":"x"'],
    ["a comma too many", '{"sku":"x",}'],
    ["single quotes", "{'sku':'x'}"],
    ["names without quotes", '{sku:"x"}'],
    ["a comment", '{"sku":"x"} // y'],
    ["two values", "{} {}"],
    ["NaN", '{"stock":NaN}'],
    ["a number with a leading zero", '{"stock":01}'],
    ["a raw control character in a string", '{"sku":"a\nb"}'],
    ["an unknown escape", '{"sku":"\\x41"}'],
    ["half an escape", '{"sku":"\\u00"}'],
    ["no JSON at all", "<product/>"],
  ])("%s", async (_, raw) => expectProblem(await send(raw), 400, "malformed"));

  it("also in a PATCH and in a batch", async () => {
    const { path } = await create();
    expectProblem(await call("PATCH", path, { raw: "{" }), 400, "malformed");
    expectProblem(await call("POST", "/v1/products/batch", { raw: '{"items":[' }), 400, "malformed");
  });

  it("a very deep body is refused, and the service lives", async () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect([400, 422]).toContain((await send(deep)).status);
    const raw = JSON.stringify(newProduct()).replace("{", `{"x":${deep},`);
    expect([400, 422]).toContain((await send(raw)).status);
    expect((await read("/healthz")).status).toBe(200);
  });
});

describe("a name that stands twice in an object is 400", () => {
  it.each([
    ["with the same value", '"name":"Lamp",'],
    ["with another value", '"name":"Torch",'],
    ["the second time written with an escape", '"n\\u0061me":"Lamp",'],
  ])("%s", async (_, again) => {
    expectProblem(await send(JSON.stringify(newProduct()).replace("{", `{${again}`)), 400, "malformed");
  });

  it("inside an object, in a PATCH and in a batch", async () => {
    const { path } = await create();
    const twice = '{"price":{"amount":1,"amount":2}}';
    expectProblem(await send(JSON.stringify(newProduct()).replace('"amount"', '"amount":1,"amount"')), 400, "malformed");
    expectProblem(await call("PATCH", path, { raw: twice }), 400, "malformed");
    expectProblem(await call("POST", "/v1/products/batch", { raw: `{"items":[${twice}]}` }), 400, "malformed");
  });

  it("the same name in different objects, and a name inside a string, are no such thing", async () => {
    const answer = await call("POST", "/v1/products/batch", { body: { items: [newProduct(), newProduct({ name: '"name":"name"' })] } });
    expect(answer.json.results.map((result: any) => result.status)).toEqual([201, 201]);
  });
});

describe("invalid UTF-8 is 400", () => {
  it.each([
    ["a byte that never occurs", [0xff]],
    ["a continuation byte alone", [0x80]],
    ["a sequence that ends early", [0xe2, 0x82]],
    ["an overlong form", [0xc0, 0xaf]],
    ["an encoded surrogate", [0xed, 0xa0, 0x80]],
    ["beyond the end of Unicode", [0xf4, 0x90, 0x80, 0x80]],
    ["Latin-1", [0xe9]],
  ])("%s", async (_, bytes) => expectProblem(await send(named(...bytes)), 400, "malformed"));

  it("a body in UTF-16", async () => {
    expectProblem(await send(Buffer.from(JSON.stringify(newProduct()), "utf16le")), 400, "malformed");
  });

  it("a real U+FFFD is a character like any other", async () => {
    expect((await send(named(0xef, 0xbf, 0xbd))).json.name).toBe("\uFFFD");
  });
});

describe("no body where one is needed is 400", () => {
  it.each([["with", "application/json"], ["without", undefined]])("%s a content type", async (_, type) => {
    const { path } = await create();
    const headers = { "content-type": type };
    for (const [method, asked] of [["POST", "/v1/products"], ["PATCH", path], ["POST", `${path}/stock-adjustments`], ["POST", "/v1/products/batch"]]) {
      expectProblem(await call(method!, asked!, { headers }), 400, "malformed");
    }
  });
});

describe("1 MiB", () => {
  it("exactly is accepted, with its length said and in pieces", async () => {
    expect((await send(productOf(MIB))).status).toBe(201);
    expect((await call("POST", "/v1/products", { raw: productOf(MIB), chunked: true })).status).toBe(201);
  });

  it("and a byte is 413, with its length said and in pieces", async () => {
    expectProblem(await send(productOf(MIB + 1)), 413, "too-large");
    expectProblem(await call("POST", "/v1/products", { raw: productOf(MIB + 1), chunked: true }), 413, "too-large");
  });

  it("holds for every change", async () => {
    const { path } = await create();
    const raw = " ".repeat(MIB + 1);
    expectProblem(await call("PATCH", path, { raw }), 413, "too-large");
    expectProblem(await call("POST", `${path}/stock-adjustments`, { raw, chunked: true }), 413, "too-large");
    expectProblem(await call("POST", "/v1/products/batch", { raw, chunked: true }), 413, "too-large");
  });
});

describe("another content type is 415", () => {
  it.each(["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx", "*/*", undefined])("%s", async (type) => {
    expectProblem(await send(JSON.stringify(newProduct()), { "content-type": type }), 415, "unsupported-media-type");
  });

  it.each(["application/json; charset=utf-8", "application/json;charset=UTF-8", "APPLICATION/JSON"])("but not %s", async (type) => {
    expect((await send(JSON.stringify(newProduct()), { "content-type": type })).status).toBe(201);
  });

  it("a body with a content coding is 415", async () => {
    expectProblem(await post({}, { headers: { "content-encoding": "gzip" } }), 415, "unsupported-media-type");
  });
});

describe("what is not needed does no harm", () => {
  it("a GET with a body is answered as one without", async () => {
    const { path } = await create();
    const plain = await read(path);
    for (const raw of ["{}", "{", "x".repeat(10_000)]) expect((await call("GET", path, { raw })).text).toBe(plain.text);
  });

  it("a valid body in pieces is taken", async () => {
    expect((await post({}, { chunked: true })).status).toBe(201);
  });
});

describe("broken URLs", () => {
  it.each(["%ff", "%zz", "%", "%00", "..%2f..%2fetc%2fpasswd", "%0d%0ax:y"])("an id of %s is 404", async (id) => {
    expectProblem(await read(`/v1/products/${id}`), 404, "not-found");
    expectProblem(await patch(`/v1/products/${id}`, { name: "x" }), 404, "not-found");
  });

  it.each(["limit=%", "limit=%zz", "limit=1%00"])("a query of %s is 400", async (query) => {
    expectBadQuery(await read(`/v1/products?${query}`), "limit");
  });

  it("the pointer of an error stands where JSON stands, not where the URL does", async () => {
    expectInvalid(await call("POST", "/v1/products?name=Lamp", { body: newProduct({ name: undefined }) }), "#/name");
  });
});
