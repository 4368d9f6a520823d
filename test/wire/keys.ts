import { type JsonWebKeyInput, type KeyObject, createPrivateKey } from "node:crypto";
import { inject } from "vitest";

export const SCOPES = [
  "catalog:read", "catalog:write", "orders:read", "orders:write", "orders:import", "customers:read", "customers:write",
  "customers:pii", "sessions", "changes:read", "ops:read", "ops:write",
] as const;
export type Scope = (typeof SCOPES)[number];

export type Issuer = {
  readonly issuer: string;
  readonly audience: string;
  readonly alg: "RS256" | "ES256" | "EdDSA";
  readonly kid: string;
  readonly privateKey: KeyObject;
};

/** The issuer as the environment writes it: the private key as PEM or as a JWK. */
type WrittenIssuer = Omit<Issuer, "privateKey"> & { readonly privateKey: string | JsonWebKeyInput["key"] };

declare module "vitest" {
  interface ProvidedContext {
    /** Keys that have one scope each, by scope. */
    holdfastScopedKeys: Partial<Record<Scope, string>> | undefined;
    /** Issuers whose tokens the installation takes, with the keys to sign them: one for each algorithm, or fewer. */
    holdfastIssuers: Array<WrittenIssuer> | undefined;
  }
}

/** JSON, as whoever runs the suite writes it. */
const fromEnvironment = (name: string): unknown => {
  const written = process.env[name];
  return written === undefined || written === "" ? undefined : JSON.parse(written);
};

/** Without them the tests that need them are skipped. */
export const scopedKeys: Partial<Record<Scope, string>> =
  (fromEnvironment("HOLDFAST_SCOPED_KEYS") as Partial<Record<Scope, string>> | undefined) ?? inject("holdfastScopedKeys") ?? {};

const opened = ({ privateKey, ...rest }: WrittenIssuer): Issuer => ({
  ...rest,
  privateKey: typeof privateKey === "string" ? createPrivateKey(privateKey) : createPrivateKey({ key: privateKey, format: "jwk" }),
});

export const issuers: ReadonlyArray<Issuer> =
  ((fromEnvironment("HOLDFAST_ISSUERS") as Array<WrittenIssuer> | undefined) ?? inject("holdfastIssuers") ?? []).map(opened);
