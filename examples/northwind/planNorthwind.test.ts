import { describe, expect, test } from "vitest";
import { planNorthwind } from "./planNorthwind.ts";
import { parseNorthwind } from "./tables.ts";

const FILES = {
  "customers.csv": [
    "customerID,companyName,contactName,contactTitle,address,city,region,postalCode,country,phone,fax",
    "HANAR,Hanari Carnes,Mario Pontes,Accounting Manager,Rua do Paço, 67,Rio de Janeiro,RJ,NULL,Brazil,(21) 555-0091,NULL",
  ],
  "products.csv": [
    "productID,productName,supplierID,categoryID,quantityPerUnit,unitPrice,unitsInStock,unitsOnOrder,reorderLevel,discontinued",
    "1,Chai,1,1,10 boxes,18.00,39,0,10,0",
    "5,Gumbo Mix,2,2,36 boxes,21.35,0,0,0,1",
  ],
  "orders.csv": [
    "orderID,customerID,employeeID,orderDate,requiredDate,shippedDate,shipVia,freight,shipName,shipAddress,shipCity,shipRegion,shipPostalCode,shipCountry",
    "10250,HANAR,4,NULL,NULL,1996-07-12 00:00:00.000,2,65.83,Hanari Carnes,Rua do Paço, 67,Rio de Janeiro,RJ,05454-876,Brazil",
    "10253,HANAR,4,NULL,NULL,NULL,2,65.83,Hanari Carnes,Rua do Paço, 67,Rio de Janeiro,NULL,05454-876,Brazil",
  ],
  "order-details.csv": ["orderID,productID,unitPrice,quantity,discount", "10250,5,16.80,15,0.15", "10250,1,14.40,6,0", "10253,1,0.50,2,0.25"],
};
type File = keyof typeof FILES;
const plan = (more: Partial<Record<File, string[]>> = {}) => {
  const northwind = parseNorthwind((file) => Buffer.from([...FILES[file as File], ...(more[file as File] ?? []), ""].join("\n")));
  return { ...planNorthwind(northwind), northwind };
};
const reasons = (more: Partial<Record<File, string[]>>) => plan(more).refusals.map(({ file, line, reason }) => [file, line, reason]);

test("a customer is the contact, under an address that the files do not give but the import", () => {
  expect(plan().sales.customers).toEqual([{
    number: "HANAR",
    name: "Mario Pontes",
    email: "hanar@example.com",
    phone: "(21) 555-0091",
    address: {
      name: "Mario Pontes", line1: "Rua do Paço, 67", line2: null, city: "Rio de Janeiro", region: "RJ", postcode: null, country: "Brazil",
    },
    marketingConsent: false,
    from: { file: "customers.csv", line: 2 },
  }]);
});

describe("an order", () => {
  test("has the line's price less its discount, in the order of the lines", () => {
    expect(plan().sales.orders[0]?.lines.map(({ sku, quantity, unitPrice }) => [sku, quantity, unitPrice])).toEqual([
      ["northwind-5", 15, { amount: 1_428, currency: "USD" }], ["northwind-1", 6, { amount: 1_440, currency: "USD" }],
    ]);
    expect(plan().sales.orders[1]?.lines[0]?.unitPrice.amount).toBe(38);
    expect(plan().rounded).toBe(1);
  });

  test("is paid and shipped if it has a shipping date, else placed", () => {
    expect(plan().sales.orders.map(({ payment, shipment }) => [payment, shipment])).toEqual([
      [{ reference: "northwind-10250" }, { carrier: "Shipper 2", trackingNumber: "NW-10250" }], [null, null],
    ]);
  });

  test("is refused with all its lines if one of them is", () => {
    const order = "10254,HANAR,4,NULL,NULL,NULL,2,65.83,Hanari Carnes,Rua,Rio de Janeiro,RJ,05454-876,Brazil";
    expect(reasons({ "orders.csv": [order], "order-details.csv": ["10254,1,1.00,1,0", "10254,99,1.00,1,0", "10254,1,1.005,1,0"] })).toEqual([
      ["orders.csv", 4, "order-with-a-refused-line"],
      ["order-details.csv", 5, "order-with-a-refused-line"],
      ["order-details.csv", 6, "product-unknown"],
      ["order-details.csv", 7, "price-finer-than-a-penny"],
    ]);
  });

  test.each([
    ["10254,ZZZZZ,4,NULL,NULL,NULL,2,1.00,A,B,C,NULL,1,D", "customer-unknown"],
    ["10254,HANAR,4,NULL,NULL,NULL,2,1.00,A,B,C,NULL,1,D", "order-without-lines"],
    ["10250,HANAR,4,NULL,NULL,NULL,2,1.00,A,B,C,NULL,1,D", "order-repeated"],
  ])("%j is refused as %s", (order, reason) => {
    expect(reasons({ "orders.csv": [order] })).toEqual([["orders.csv", 4, reason]]);
  });

  test("that is not there leaves its lines refused", () => {
    expect(reasons({ "order-details.csv": ["99999,1,1.00,1,0"] })).toEqual([["order-details.csv", 5, "order-missing"]]);
  });
});

test("a stock is raised by what is ordered and what is left", () => {
  expect(plan().raises.map(({ sku, delta }) => [sku, delta])).toEqual([["northwind-1", 39 + 6 + 2], ["northwind-5", 15]]);
});

test("a product is wanted discontinued or active, as the file says", () => {
  expect([...plan().products.values()].map(({ sku, name, price, status }) => [sku, name, price.amount, status])).toEqual([
    ["northwind-1", "Chai", 1_800, "active"], ["northwind-5", "Gumbo Mix", 2_135, "discontinued"],
  ]);
});
