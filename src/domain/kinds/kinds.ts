import type { Kind } from "../Kind.ts"
import { customer } from "./customer.ts"
import { order } from "./order.ts"
import { product } from "./product.ts"

/** Every kind that the service knows. A new one is a file beside this, a migration, and a line here. */
export const kinds: readonly Kind[] = [product, order, customer]

export const kindOf = (name: string): Kind | undefined => kinds.find((kind) => kind.name === name)
