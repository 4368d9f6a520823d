/** The names of the problems that the domain itself can refuse with. */
export type Problem =
  | "invalid" // what was asked for cannot be held, such as a stock above 2^53 − 1
  | "sku-taken" | "email-taken" | "insufficient-stock" | "price-changed" | "product-not-available" | "customer-erased"
  | "order-not-placed" | "order-not-paid" | "order-not-shipped" | "order-not-cancellable"
