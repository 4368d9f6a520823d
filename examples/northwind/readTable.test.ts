import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readTable, recoverCells } from "./readTable.ts";

const COLUMNS = { id: { form: /^\d+$/ }, name: {}, street: { wide: true }, city: { form: /^\D+$/ }, code: { optional: true } } as const;
const read = (...lines: string[]) => readTable("x.csv", Buffer.from(["id,name,street,city,code", ...lines, ""].join("\n")), COLUMNS);

describe("a line with commas that no quotes hold together", () => {
  test("gets its columns back, to the blank", () => {
    expect(read("1,Hanari,Rua do Paço, 67,Rio,05454-876").rows[0]?.cells)
      .toEqual({ id: "1", name: "Hanari", street: "Rua do Paço, 67", city: "Rio", code: "05454-876" });
  });

  test("gets them back whatever stands in the wide column, wherever that is", () => {
    const cell = fc.string({ maxLength: 5 }).filter((text) => !/[,"\r\n]/.test(text));
    fc.assert(fc.property(fc.array(cell), fc.array(cell, { minLength: 1 }), fc.array(cell), (left, wide, right) => {
      const recovered = recoverCells([...left, ...wide, ...right], left.length + 1 + right.length, left.length);
      expect(recovered).toEqual([...left, wide.join(","), ...right]);
    }));
  });

  test("is refused if no column may be wide, or a cell is missing", () => {
    expect(recoverCells(["a", "b", "c"], 2, -1)).toBeNull();
    expect(recoverCells(["a"], 2, 0)).toBeNull();
  });

  test("is refused if a neighbour then has another form: the comma was elsewhere", () => {
    expect(read("1,A,Street,12, Rio,RJ,1").refusals).toEqual([]);
    expect(read("1,A,Street 1,Rio, 7,1").refusals).toEqual([{ file: "x.csv", line: 2, reason: "column-unreadable", detail: "city" }]);
  });
});

test("NULL is absence, where there may be one", () => {
  expect(read("1,A,S,C,NULL").rows[0]?.cells.code).toBeNull();
  expect(read("1,NULL,S,C,5").refusals).toMatchObject([{ reason: "column-unreadable", detail: "name" }]);
  expect(read("1,Annull,S,C,NULLE").rows[0]?.cells).toMatchObject({ name: "Annull", code: "NULLE" });
});

test("every line is a row or refused", () => {
  const table = read("1,A,S,C,5", "", "1,A", "x,A,S,C,5", '1,"A,S,C,5', "1,\0,S,C,5");
  expect(table.total).toBe(table.rows.length + table.refusals.length);
  expect(table.refusals.map(({ line, reason }) => [line, reason])).toEqual([
    [3, "empty-line"], [4, "wrong-column-count"], [5, "column-unreadable"], [6, "broken-quotes"], [7, "broken-text"],
  ]);
});

test("a file with other columns is another kind of file", () => {
  expect(() => readTable("x.csv", Buffer.from("id,name\n"), COLUMNS)).toThrow(/x.csv: the header lacks street, city, code/);
  expect(() => readTable("x.csv", Buffer.from("id,name,street,city,code,age\n"), COLUMNS)).toThrow(/has age more/);
});
