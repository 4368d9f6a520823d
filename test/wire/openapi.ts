import { call } from "./client.ts";
import { nameOf, type Route } from "./routes.ts";

const METHODS = ["GET", "PUT", "POST", "DELETE", "PATCH"] as const;

// Documents are judged by the tests, not by a type.
export const openapi = async (): Promise<any> => (await call("GET", "/openapi.json", { key: null })).json;

const at = (document: any, pointer: string): any =>
  pointer.slice(2).split("/").reduce((value, step) => value?.[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")], document);

/** With every `$ref` in it replaced by what it refers to, as far as it does not contain itself. */
export const resolved = (document: any, value: any, within: ReadonlyArray<string> = []): any => {
  if (Array.isArray(value)) return value.map((item) => resolved(document, item, within));
  if (typeof value !== "object" || value === null) return value;
  const { $ref, ...rest } = value;
  const here = Object.fromEntries(Object.entries(rest).map(([name, inner]) => [name, resolved(document, inner, within)]));
  if (typeof $ref !== "string" || within.includes($ref)) return here;
  return { ...resolved(document, at(document, $ref), [...within, $ref]), ...here };
};

type Operation = Pick<Route, "method" | "path"> & { readonly operation: any; readonly shared: Array<any> };

export const operations = (document: any): Array<Operation> =>
  Object.entries<any>(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method.toLowerCase() in item).map((method) =>
      ({ path, method, operation: resolved(document, item[method.toLowerCase()]), shared: resolved(document, item.parameters ?? []) })));

export const operation = (document: any, route: Pick<Route, "method" | "path">): any =>
  operations(document).find((one) => nameOf(one) === nameOf(route))?.operation;

/** A schema with what its `allOf` adds to it: a generator may write the limits of a number there. */
const flat = (schema: any): any => {
  if (Array.isArray(schema)) return schema.map(flat);
  if (typeof schema !== "object" || schema === null) return schema;
  const { allOf, ...rest } = Object.fromEntries(Object.entries(schema).map(([name, inner]) => [name, flat(inner)]));
  return Array.isArray(allOf) ? Object.assign({}, rest, ...allOf) : rest;
};
export const bodyOf = (operation: any): any => flat(Object.values<any>(operation.requestBody.content)[0].schema);

export const requiredBy = (schema: any): Array<string> => [...(schema.required as Array<string>)].sort();

/** The first object schema that has this property, wherever it stands: inside `allOf`, `anyOf` or directly. */
export const property = (schema: any, name: string): any => {
  if (typeof schema !== "object" || schema === null) return undefined;
  if (schema.properties?.[name] !== undefined) return schema.properties[name];
  return Object.values(schema).map((inner) => property(inner, name)).find((found) => found !== undefined);
};
