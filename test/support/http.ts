import { Effect, Layer, ManagedRuntime } from "effect";
import type { Kind } from "../../src/domain/Kind.ts";
import { kinds as allKinds } from "../../src/domain/kinds/kinds.ts";
import { Apps } from "../../src/http/app.ts";
import { afterwards, openServices, type ServiceOptions } from "./services.ts";

const KEY = "a key that has every scope, of tests".replaceAll(" ", "_");

export type Asked = {
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** `null` sends none; without it the key has every scope. */
  readonly key?: string | null;
};

/** The HTTP interface over a set of services, asked without a network between. */
export const openHttp = async ({ opsPort = false, served = allKinds, ...options }: ServiceOptions & { readonly opsPort?: boolean; readonly served?: readonly Kind[] }) => {
  const services = await openServices({ ...options, environment: { BOOTSTRAP_API_KEY: KEY, ...options.environment } });
  const runtime = ManagedRuntime.make(Layer.provide(Apps.layer(served, { opsPort }), Layer.succeedContext(services.context)));
  afterwards(() => runtime.dispose());
  const apps = await runtime.runPromise(Effect.service(Apps));
  const asking = (app: typeof apps.main) => async (method: string, path: string, { body, headers, key = KEY }: Asked = {}) => {
    const response = await app.request(path, {
      method,
      headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined };
  };
  return { services, apps, key: KEY, ask: asking(apps.main), askOps: asking(apps.ops ?? apps.main) };
};
export type Http = Awaited<ReturnType<typeof openHttp>>;
