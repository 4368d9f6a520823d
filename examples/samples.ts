/** Small files with everything in them that the real ones are known for, so that the imports run where those are absent. */

const INVOICES = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1001,10A,"TEA, GREEN",6,2010-12-01T08:26,4.50,1,France
1001,10a,TEA GREEN SMALL,2,2010-12-01T08:26,1.25,1,France
1001,10A,"TEA, GREEN",6,2010-12-01T08:26,4.50,1,France
1002,10A,,4,2010-12-01T09:00,4.75,2,Germany
C1003,10A,"TEA, GREEN",-1,2010-12-01T09:30,4.75,1,France
1004,20,CUP שלום ☕,1,2010-12-01T10:00,0,2,Germany
1005,30,NOT A PRICE,1,2010-12-01T10:00,free,2,Germany
1006,20,CUP שלום ☕,3,2010-12-01T10:30,2.10,,Germany
1007,20,lost,-2,2010-12-01T10:45,2.10,2,Germany
`;

const CUSTOMERS = `customerID,companyName,contactName,contactTitle,address,city,region,postalCode,country,phone,fax
HUNGO,Hungry Owl,Patricia McKenna,Sales Associate,8 Johnstown Road,Cork,Co. Cork,NULL,Ireland,2967 542,2967 3333
BERGS,Berglunds snabbköp,Christina Berglund,Order Administrator,Berguvsvägen  8,Luleå,NULL,S-958 22,Sweden,0921-12 34 65,NULL
QUEEN,Queen Cozinha,Lúcia Carvalho,Marketing Assistant,Alameda dos Canàrios, 891,Sao Paulo,SP,05487-020,Brazil,NULL,NULL
`;

const PRODUCTS = `productID,productName,supplierID,categoryID,quantityPerUnit,unitPrice,unitsInStock,unitsOnOrder,reorderLevel,discontinued
1,Chai,1,1,10 boxes x 20 bags,18.0000,39,0,10,0
2,Guaraná Fantástica,10,1,12 - 355 ml cans,4.5000,20,0,0,1
`;

const ORDERS = `orderID,customerID,employeeID,orderDate,requiredDate,shippedDate,shipVia,freight,shipName,shipAddress,shipCity,shipRegion,shipPostalCode,shipCountry
10248,QUEEN,5,1996-07-04 00:00:00.000,1996-08-01 00:00:00.000,1996-07-16 00:00:00.000,3,32.3800,Queen Cozinha,Alameda dos Canàrios, 891,Sao Paulo,SP,05487-020,Brazil
10249,BERGS,6,1996-07-05 00:00:00.000,NULL,NULL,1,11.6100,Berglunds snabbköp,Berguvsvägen  8,Luleå,NULL,S-958 22,Sweden
10250,NOONE,6,1996-07-05 00:00:00.000,NULL,NULL,1,11.6100,Nobody,1 Nowhere,Nowhere,NULL,NULL,Sweden
`;

const DETAILS = `orderID,productID,unitPrice,quantity,discount
10248,1,14.4000,12,0
10248,2,3.6000,10,0.15
10249,2,3.6500,5,0.1
10250,1,14.4000,1,0
`;

export const FILES: Readonly<Record<string, string>> = {
  "invoices.csv": INVOICES,
  "customers.csv": CUSTOMERS,
  "products.csv": PRODUCTS,
  "orders.csv": ORDERS,
  "order-details.csv": DETAILS,
};

/** What must be refused of them, and nothing else. */
export const REFUSED = {
  lines: { "price-unreadable": 1 },
  orders: { "customer-missing": 1, "invoice-cancelled": 1, "price-0": 1, "price-unreadable": 1, "quantity-below-1": 1 },
  northwind: { "customer-unknown": 2 },
};
