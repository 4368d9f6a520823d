import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";

export type Direction = "requests" | "answers";

export type Proxy = {
  readonly port: number;
  readonly url: (scheme: string) => string;
  /** Resets every connection, and refuses new ones. */
  readonly cut: () => Promise<void>;
  /** Connections stay and new ones are accepted, but what goes in that direction, or in both, vanishes. */
  readonly blackhole: (direction?: Direction) => void;
  /** Everything arrives that much later, in order. */
  readonly delay: (ms: number) => void;
  /** New connections go to that server of the same machine. */
  readonly redirect: (port: number) => void;
  /** As at first. Connections that lost bytes are reset, for what follows a gap would be garbage. */
  readonly restore: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** A TCP proxy before a real server, at which the network goes wrong. */
export const startProxy = async ({ host, port: firstPort }: { host: string; port: number }): Promise<Proxy> => {
  let targetPort = firstPort;
  const connections = new Set<{ reset: () => void; lossy: boolean }>();
  const swallowed = new Set<Direction>();
  let delayMs = 0;

  const accept = (client: Socket) => {
    const target = connect({ host, port: targetPort, noDelay: true });
    const reset = () => {
      client.resetAndDestroy();
      target.resetAndDestroy();
      connections.delete(connection);
    };
    const connection = { reset, lossy: false };
    connections.add(connection);
    client.setNoDelay(true);
    const pass = (from: Socket, to: Socket, direction: Direction) => {
      let earlier: Promise<unknown> = Promise.resolve();
      const inTurn = (work: () => unknown) => {
        const late = delayMs > 0 ? after(delayMs) : undefined;
        earlier = earlier.then(() => late).then(work);
      };
      from.on("data", (bytes) => {
        if (swallowed.has(direction)) connection.lossy = true;
        else inTurn(() => to.write(bytes));
      });
      // An end is swallowed as well: over a network that loses everything, nobody hears of it.
      from.on("end", () => {
        if (swallowed.has(direction)) connection.lossy = true;
        else inTurn(() => to.end());
      });
      from.on("error", reset);
    };
    pass(client, target, "requests");
    pass(target, client, "answers");
    const closed = () => {
      if (client.closed && target.closed) connections.delete(connection);
    };
    client.on("close", closed);
    target.on("close", closed);
  };

  const server = createServer({ allowHalfOpen: true }, accept);
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const cut = async () => {
    const closed = server.listening ? once(server, "close") : undefined;
    server.close();
    for (const { reset } of connections) reset();
    await closed;
  };
  return {
    port,
    url: (scheme) => `${scheme}://127.0.0.1:${port}`,
    cut,
    blackhole: (direction) => {
      for (const one of direction === undefined ? (["requests", "answers"] as const) : [direction]) swallowed.add(one);
    },
    delay: (ms) => void (delayMs = ms),
    redirect: (to) => void (targetPort = to),
    restore: async () => {
      swallowed.clear();
      delayMs = 0;
      for (const { lossy, reset } of connections) if (lossy) reset();
      if (!server.listening) await listen(port);
    },
    stop: cut,
  };
};
