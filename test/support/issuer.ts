import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export type Algorithm = "RS256" | "ES256" | "EdDSA";
export type IssuerKey = { readonly kid: string; readonly alg: Algorithm; readonly privateKey: KeyObject; readonly publicKey: KeyObject };

const PAIRS = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
} satisfies Record<Algorithm, () => { privateKey: KeyObject; publicKey: KeyObject }>;

export const makeKey = (alg: Algorithm, kid: string): IssuerKey => ({ kid, alg, ...PAIRS[alg]() });

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A JWS of whatever header and claims, its signature made by `signature`. */
export const compact = (header: object, claims: unknown, signature: (bytes: Buffer) => Buffer): string => {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${signature(Buffer.from(signed)).toString("base64url")}`;
};

export const signedBy = ({ alg, privateKey }: Pick<IssuerKey, "alg" | "privateKey">) => (bytes: Buffer): Buffer =>
  sign(alg === "EdDSA" ? null : "sha256", bytes, { key: privateKey, dsaEncoding: "ieee-p1363" });

/** A symmetric signature, for which a public key is taken as the secret. */
export const signedWithText = (secret: string | Buffer) => (bytes: Buffer): Buffer => createHmac("sha256", secret).update(bytes).digest();

export const seconds = (fromNow: number): number => Math.floor(Date.now() / 1_000) + fromNow;

/** Somebody who issues JWTs, with a server on loopback that publishes the keys. */
export const startIssuer = async (keys: readonly IssuerKey[]) => {
  let published = keys, asked = 0;
  const answerWell = (_: IncomingMessage, response: ServerResponse) => {
    const set = published.map(({ kid, alg, publicKey }) => ({ ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig" }));
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ keys: set }));
  };
  let answer = answerWell;
  const server = createServer((request, response) => {
    asked++;
    answer(request, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  const issuer = `http://127.0.0.1:${port}`, audience = "holdfast";
  const claims = (more: object = {}) => ({ iss: issuer, aud: audience, sub: "ada@example.com", exp: seconds(60), scope: "catalog:read", ...more });
  return {
    issuer,
    audience,
    url: `${issuer}/jwks`,
    claims,
    token: (more: object = {}, key = published[0]!) => compact({ alg: key.alg, kid: key.kid, typ: "JWT" }, claims(more), signedBy(key)),
    /** How often the keys were asked for. */
    asked: () => asked,
    publish: (next: readonly IssuerKey[]) => void (published = next),
    /** From now on every question is answered like this; without an answer as it should be. */
    answers: (next: typeof answer = answerWell) => void (answer = next),
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
};
export type TestIssuer = Awaited<ReturnType<typeof startIssuer>>;

export const pemOf = ({ publicKey }: IssuerKey): string => publicKey.export({ type: "spki", format: "pem" }) as string;
