import { type JsonWebKeyInput, type KeyObject, createPrivateKey } from "node:crypto";

export const SCOPES = [
  "catalog:read", "catalog:write", "orders:read", "orders:write", "orders:import", "customers:read", "customers:write",
  "customers:pii", "sessions", "changes:read", "ops:read", "ops:write",
] as const;
export type Scope = (typeof SCOPES)[number];

/** Keys that have one scope each, by scope; of those that are missing the tests are skipped. */
export type ScopedKeys = Readonly<Partial<Record<Scope, string>>>;

/** Somebody whose tokens the installation takes, with the key to sign them. */
export type Issuer = {
  readonly issuer: string;
  readonly audience: string;
  readonly alg: "RS256" | "ES256" | "EdDSA";
  readonly kid: string;
  readonly privateKey: KeyObject;
};

/** As whoever runs the suite writes it: the private key as PEM or as a JWK. */
type WrittenIssuer = Omit<Issuer, "privateKey"> & { readonly privateKey: string | JsonWebKeyInput["key"] };

const written = <A>(name: string, absent: A): A => JSON.parse(process.env[name] || "null") ?? absent;

export const scopedKeysFromEnvironment = (): ScopedKeys => written("HOLDFAST_SCOPED_KEYS", {});

export const issuersFromEnvironment = (): ReadonlyArray<Issuer> =>
  written<Array<WrittenIssuer>>("HOLDFAST_ISSUERS", []).map(({ privateKey, ...rest }) => ({
    ...rest,
    privateKey: typeof privateKey === "string" ? createPrivateKey(privateKey) : createPrivateKey({ key: privateKey, format: "jwk" }),
  }));
