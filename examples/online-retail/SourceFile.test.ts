import { describe, expect, test } from "vitest";
import { readSourceFile, refuseRepeated } from "./SourceFile.ts";

const HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
const GOOD = "536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom";
const read = (...lines: string[]) => readSourceFile("file.csv", Buffer.from(`${[HEADER, ...lines].join("\n")}\n`));
const reasons = (...lines: string[]) => read(...lines).refusals.map(({ line, reason }) => [line, reason]);

describe("a file", () => {
  test("gives its lines with the numbers that an editor shows", () => {
    expect(read("", GOOD).lines).toEqual([
      { number: 3, invoice: "536365", sku: "85123A", description: "WHITE HANGING HEART", quantity: 6, pence: 255, customer: "17850.0", country: "United Kingdom" },
    ]);
  });

  test("is read by the names of its columns, with a byte order mark, CRLF and no line feed at the end too", () => {
    const text = "\uFEFFUnitPrice,Quantity,Description,StockCode,InvoiceNo\r\n2.55,6,\"A, \"\"B\"\"\",85123A,536365";
    expect(readSourceFile("x", Buffer.from(text)).lines).toEqual([
      { number: 2, invoice: "536365", sku: "85123A", description: 'A, "B"', quantity: 6, pence: 255, customer: null, country: null },
    ]);
  });

  test("of another kind is no source", () => {
    expect(() => readSourceFile("orders.csv", Buffer.from("id,total\n1,2\n"))).toThrow(/orders.csv: the header lacks InvoiceNo/);
    expect(() => readSourceFile("empty.csv", Buffer.from(""))).toThrow(/lacks/);
  });

  test("without customers is a source of stock, not of orders", () => {
    const bytes = Buffer.from("UnitPrice,Quantity,Description,StockCode,InvoiceNo\n2.55,6,A,85123A,536365\n");
    expect(readSourceFile("x", bytes).lines).toHaveLength(1);
    expect(() => readSourceFile("x", bytes, true)).toThrow(/the header lacks CustomerID, Country/);
  });

  test("keeps stock codes apart that differ in case only, and trims them", () => {
    const skus = read("1,15056BL,A,1,,1,,", "1, 15056bl ,A,1,,1,,").lines.map(({ sku }) => sku);
    expect(skus).toEqual(["15056BL", "15056bl"]);
  });

  test("has null for a description that is empty or blank", () => {
    expect(read("1,A,,1,,1,,", "1,A,  ,1,,1,,").lines.map(({ description }) => description)).toEqual([null, null]);
  });
});

describe("a broken line", () => {
  test.each([
    ["", "empty-line"],
    ["536365,85123A", "wrong-column-count"],
    [`${GOOD},more`, "wrong-column-count"],
    ['536365,85123A,"never closed,6,,2.55,,', "broken-quotes"],
    ['536365,85123A,a "quote" inside,6,,2.55,,', "broken-quotes"],
    ["536365,85123A,nul\0,6,,2.55,,", "broken-text"],
    [" ,85123A,A,6,,2.55,,", "invoice-missing"],
    ["536365,,A,6,,2.55,,", "stock-code-missing"],
    [`536365,${"x".repeat(201)},A,6,,2.55,,`, "stock-code-too-long"],
    ["536365,85123A,A,0,,2.55,,", "quantity-zero"],
    ["A563186,B,Adjust bad debt,1,,-11062.06,,", "price-negative"],
    ["536365,PADS,A,1,,0.001,,", "price-finer-than-a-penny"],
  ])("%j is refused as %s and costs no other line", (line, reason) => {
    const file = read(line, GOOD);
    expect(file.refusals).toEqual([{ file: "file.csv", line: 2, reason, detail: "" }]);
    expect(file.lines.map(({ number }) => number)).toEqual([3]);
    expect(file.total).toBe(2);
  });

  test("of bytes that are no UTF-8 is refused rather than guessed", () => {
    const latin1 = Buffer.from(`${HEADER}\n536365,85123A,PINK \u00A310 NOTE,6,,2.55,,\n${GOOD}\n`, "latin1");
    expect(readSourceFile("x", latin1).refusals.map(({ reason }) => reason)).toEqual(["broken-text"]);
  });

  test("is counted wherever it stands: lines = imported + refused", () => {
    const file = read(GOOD, "", "x", GOOD, '"', "");
    expect(file.total).toBe(file.lines.length + file.refusals.length);
    expect(reasons(GOOD, "", "x", GOOD, '"', "")).toEqual([
      [3, "empty-line"], [4, "wrong-column-count"], [6, "broken-quotes"], [7, "empty-line"],
    ]);
  });
});

describe("the same bytes", () => {
  test("are one source under any name, and other bytes another", () => {
    const bytes = Buffer.from(`${HEADER}\n${GOOD}\n`);
    expect(readSourceFile("a.csv", bytes).digest).toBe(readSourceFile("elsewhere/b.csv", bytes).digest);
    expect(readSourceFile("a.csv", bytes).digest).not.toBe(read(GOOD, GOOD).digest);
  });

  test("given twice count once, and every line of the second is refused", () => {
    const [first, second] = refuseRepeated([read(GOOD, ""), { ...read(GOOD, ""), name: "copy.csv" }]);
    expect(first?.lines).toHaveLength(1);
    expect(second?.lines).toEqual([]);
    expect(second?.refusals.map(({ file, line, reason }) => [file, line, reason])).toEqual([
      ["copy.csv", 2, "same-file-again"], ["copy.csv", 3, "same-file-again"],
    ]);
  });
});
