import { Context, Layer } from "effect"
import type { Principal } from "./ApiKeys.ts"

/** Tokens that somebody else issued, who is trusted to say what their bearer may do. */
export class IssuedTokens extends Context.Service<IssuedTokens, {
  /** Whose token a text is; null where it cannot be verified, for whatever reason. */
  readonly authenticate: (text: string) => Promise<Principal | null>
}>()("holdfast/access/IssuedTokens") {
  /** Nobody is trusted. */
  static readonly none = Layer.succeed(IssuedTokens, IssuedTokens.of({ authenticate: async () => null }))
}
