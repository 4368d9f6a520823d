import { createHash, randomUUID } from "node:crypto";
import { check } from "../../src/domain/check.ts";
import type { CommandRequest } from "../../src/domain/Commands.ts";
import type { Kind, State } from "../../src/domain/Kind.ts";
import { customer } from "../../src/domain/kinds/customer.ts";
import { order } from "../../src/domain/kinds/order.ts";
import { cause } from "./services.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest();
export const keyOf = (key: string, request = "the request") => ({ digest: sha256(key), request: sha256(request) });

/** What was sent, checked and read as a route does it. */
const asked = (kind: Kind, name: string, sent: State, more: Partial<CommandRequest>): CommandRequest => {
  const command = kind.commands[name]!, checked = check(command.input, sent);
  if ("faults" in checked) throw new Error(JSON.stringify(checked.faults));
  return { kind, command: name, input: command.read(checked.value), versions: null, key: null, cause, granted: () => false, ...more };
};

type More = Partial<CommandRequest>;
export const registering = (fields: State = {}, more: More = {}) =>
  asked(customer, "RegisterCustomer", { name: "Ada", email: `${randomUUID()}@example.org`, marketingConsent: false, ...fields }, more);
export const changingCustomer = (id: string, fields: State, more: More = {}) => ({ ...asked(customer, "ChangeCustomer", fields, more), id });
/** The tombstone alone: of an erasure the first step. */
export const tombstoning = (id: string, more: More = {}) => ({ ...asked(customer, "EraseCustomer", {}, more), id });

export const shippingAddress = { name: "Grace", line1: "Lindenstraße 1", city: "Köln", country: "Deutschland" };
export const lineOf = (productId: string, quantity = 1, fields: State = {}) => ({ productId, quantity, ...fields });
export const placing = (customerId: string, lines: readonly State[], more: More = {}) => asked(order, "PlaceOrder", { customerId, lines, shippingAddress }, more);

export const paying = (id: string, more: More = {}) => ({ ...asked(order, "PayOrder", { reference: "pay-1" }, more), id });
export const shipping = (id: string, more: More = {}) => ({ ...asked(order, "ShipOrder", { carrier: "DHL", trackingNumber: "T-1" }, more), id });
export const cancelling = (id: string, more: More = {}) => ({ ...asked(order, "CancelOrder", { reason: "changed their mind" }, more), id });
