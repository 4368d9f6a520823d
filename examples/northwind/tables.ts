import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readTable, type Column, type Table } from "./readTable.ts";

const number = { form: /^\d+$/ };
const count = { form: /^\d{1,9}$/ };
const money = { form: /^\d+\.\d+$/ };
const time = { form: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$/ };
const customerId = { form: /^[A-Z]{5}$/ };
/** The longest that the interface takes. */
const text = { form: /^.{1,200}$/u };
const longText = { form: /^.{1,2000}$/u };
/** No digits: what stands beside an address must not be a piece of it. */
const words = { form: /^[^\d]{1,200}$/u };
const optional = true;

const CUSTOMERS = {
  customerID: customerId,
  companyName: text,
  contactName: words,
  contactTitle: words,
  address: { ...longText, wide: true },
  city: words,
  region: { ...words, optional },
  postalCode: { ...text, optional },
  country: words,
  phone: { form: /^[\d ().-]{1,200}$/, optional },
  fax: { form: /^[\d ().-]{1,200}$/, optional },
} as const satisfies Record<string, Column>;

const PRODUCTS = {
  productID: number,
  productName: text,
  supplierID: { ...number, optional },
  categoryID: { ...number, optional },
  quantityPerUnit: { ...text, optional },
  unitPrice: money,
  unitsInStock: count,
  unitsOnOrder: { ...count, optional },
  reorderLevel: { ...count, optional },
  discontinued: { form: /^[01]$/ },
} as const satisfies Record<string, Column>;

const ORDERS = {
  orderID: number,
  customerID: customerId,
  employeeID: { ...number, optional },
  orderDate: { ...time, optional },
  requiredDate: { ...time, optional },
  shippedDate: { ...time, optional },
  shipVia: { ...number, optional },
  freight: { ...money, optional },
  shipName: words,
  shipAddress: { ...longText, wide: true },
  shipCity: words,
  shipRegion: { ...words, optional },
  shipPostalCode: { ...text, optional },
  shipCountry: words,
} as const satisfies Record<string, Column>;

const DETAILS = {
  orderID: number,
  productID: number,
  unitPrice: money,
  quantity: { form: /^([1-9]\d{0,5}|1000000)$/ },
  discount: { form: /^[01](\.\d+)?$/ },
} as const satisfies Record<string, Column>;

export interface Northwind {
  readonly customers: Table<keyof typeof CUSTOMERS>;
  readonly products: Table<keyof typeof PRODUCTS>;
  readonly orders: Table<keyof typeof ORDERS>;
  readonly details: Table<keyof typeof DETAILS>;
}

export const parseNorthwind = (read: (file: string) => Uint8Array): Northwind => ({
  customers: readTable("customers.csv", read("customers.csv"), CUSTOMERS),
  products: readTable("products.csv", read("products.csv"), PRODUCTS),
  orders: readTable("orders.csv", read("orders.csv"), ORDERS),
  details: readTable("order-details.csv", read("order-details.csv"), DETAILS),
});

export const readNorthwind = (folder: string): Northwind => parseNorthwind((file) => readFileSync(join(folder, file)));
