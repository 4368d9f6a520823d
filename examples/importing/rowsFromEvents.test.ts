import { describe, expect, test } from "vitest";
import type { Answer } from "./Client.ts";
import { compareRow, touchedPaths } from "./rowsFromEvents.ts";

const answer = (text: string, status = 200, problem: string | null = null): Answer =>
  ({ status, headers: new Headers(), text, body: JSON.parse(text), problem, replayed: false });

const row = answer(`{"id":"p","versionId":2,"emailHash":"secret-hash","stock":3}`);
const foundIn = (folded: Answer) => compareRow("product A", 2, row, folded).map(({ found }) => found);

describe("a row and its events", () => {
  test("agree if they are the same bytes", () => {
    expect(compareRow("product A", 2, row, answer(row.text))).toEqual([]);
  });

  test("differ in the fields that are named, without a value of them", () => {
    expect(foundIn(answer(`{"id":"p","versionId":2,"emailHash":"another","stock":4,"sku":"A"}`))).toEqual(["other emailHash, stock, sku"]);
  });

  test("differ also if only the bytes do", () => {
    expect(foundIn(answer(`{"versionId":2,"id":"p","emailHash":"secret-hash","stock":3}`))).toEqual(["the same in other bytes"]);
  });

  test("differ if the events do not give the version", () => {
    expect(foundIn(answer("{}", 404, "not-found"))).toEqual(["404 not-found"]);
    expect(foundIn(answer("[]"))).toEqual(["something else"]);
  });
});

test("what an import touched is every product, customer and order, each at its own path", () => {
  const products = { before: new Map([["A", { id: "p" }]]) } as unknown as Parameters<typeof touchedPaths>[0];
  const sales = { customers: { before: new Map([["ANN", { id: "c" }]]) }, placed: { placed: new Map([[{ number: "7" }, { id: "o" }]]) } } as unknown as Parameters<typeof touchedPaths>[1];
  expect([...touchedPaths(products, sales)]).toEqual([["product A", "/v1/products/p"], ["customer ANN", "/v1/customers/c"], ["order 7", "/v1/orders/o"]]);
  expect([...touchedPaths(products, null)]).toEqual([["product A", "/v1/products/p"]]);
});
