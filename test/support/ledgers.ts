import { randomBytes, randomUUID } from "node:crypto";
import { Layer, ManagedRuntime } from "effect";
import { Keyspace } from "../../src/domain/cache/Keyspace.ts";
import type { AnyEvent, Kind, State } from "../../src/domain/Kind.ts";
import { customer } from "../../src/domain/kinds/customer.ts";
import { kinds } from "../../src/domain/kinds/kinds.ts";
import { order } from "../../src/domain/kinds/order.ts";
import { product, stockReserved, stockReturned } from "../../src/domain/kinds/product.ts";
import { type Change, type IdempotencyKey, Ledger, type OtherChange, type Row } from "../../src/domain/ledger/Ledger.ts";
import { Log } from "../../src/domain/observe/Log.ts";
import { layerFileKeyring } from "../../src/infrastructure/crypto/FileKeyring.ts";
import { Postgres } from "../../src/infrastructure/postgres/Postgres.ts";
import { layerPostgresLedger } from "../../src/infrastructure/postgres/PostgresLedger.ts";

const silent = Log.of({ debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined });
const keyring = layerFileKeyring({ primary: 1, keys: new Map([[1, randomBytes(32)]]), index: randomBytes(32) });

/** The ledger alone, without cache and commands. */
export const openLedger = async (url: string, { poolMax = 25, log = silent }: { readonly poolMax?: number; readonly log?: Log["Service"] } = {}) => {
  const runtime = ManagedRuntime.make(Layer.provide(
    Layer.provideMerge(layerPostgresLedger, Postgres.layer({ url, poolMax })),
    Layer.merge(Layer.succeed(Log, log), Layer.provide(Keyspace.layer(64, kinds), keyring)),
  ));
  return { ledger: await runtime.runPromise(Ledger), postgres: await runtime.runPromise(Postgres), close: () => runtime.dispose() };
};

export const newKey = (): IdempotencyKey => ({ digest: randomBytes(32), request: randomBytes(32) });

const cause = { actor: "test", trace: "00-aa-bb-01", request: "r-1" };

/** A creation; what the event leaves out of the state (digests) comes beside. */
export const making = (kind: Kind, event: AnyEvent, beside: State = {}): Change => ({
  kind, id: randomUUID(), expected: 0, event, before: null, after: { ...kind.evolve(event, null)!, ...beside }, key: null, status: 201, cause, also: [], holds: [], owed: false,
});

export const makingProduct = (over: State = {}): Change => making(product, {
  type: "ProductCreated",
  data: { sku: `sku-${randomUUID()}`, name: "Lamp", description: null, price: { amount: 1_999, currency: "EUR" }, stock: 1_000_000, status: "active", ...over },
});

/** No digest is made here: any text does. */
export const makingCustomer = (): Change => making(
  customer,
  { type: "CustomerRegistered", data: { status: "active", marketingConsent: true, personal: `sealed-${randomUUID()}`, piiRef: randomUUID() } },
  { emailHash: randomUUID(), phoneHash: null, emailIndex: randomUUID() },
);

/** What happens to an entity as it was read. */
export const other = (kind: Kind, row: Row, event: AnyEvent): OtherChange =>
  ({ kind, id: row.id, expected: row.version, event, before: row.state!, after: kind.evolve(event, row.state) });

export const changing = (kind: Kind, row: Row, event: AnyEvent, over: Partial<Change> = {}): Change =>
  ({ ...other(kind, row, event), key: null, status: 200, cause, also: [], holds: [], owed: false, ...over });

export const adjusting = (row: Row, delta: number): Change => changing(product, row, { type: "StockAdjusted", data: { delta, reason: null } });
export const erasing = (row: Row): Change => changing(customer, row, { type: "CustomerErased", data: {} });

/** One piece of each product, in the order in which they are given. */
export const placing = (customerId: string, products: readonly Row[], over: Partial<Change> = {}): Change => {
  const lines = products.map(({ id, state }) => ({ productId: id, sku: state!["sku"], quantity: 1, unitPrice: state!["price"] }));
  const change = making(order, {
    type: "OrderPlaced",
    data: { customerId, status: "placed", lines, total: { amount: 1_999 * lines.length, currency: "EUR" }, personal: `sealed-${randomUUID()}`, shippingAddressRef: randomUUID() },
  });
  return {
    ...change,
    also: products.map((row) => other(product, row, stockReserved({ quantity: 1, order: change.id }))),
    holds: [{ kind: customer, id: customerId }],
    ...over,
  };
};

export const cancelling = (placed: Row, products: readonly Row[], over: Partial<Change> = {}): Change => changing(order, placed, { type: "OrderCancelled", data: { reason: "changed my mind" } }, {
  also: products.map((row) => other(product, row, stockReturned({ quantity: 1, order: placed.id }))),
  ...over,
});
