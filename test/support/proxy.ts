import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { freePort } from "./processes.ts";

export type Direction = "requests" | "answers";

/** What a proxy keeps back until it is told. */
export type Hold = {
  /** Whether something that matches has come, within so many milliseconds. */
  readonly caught: (withinMs: number) => Promise<boolean>;
  /** It goes on, and whatever came behind it. */
  readonly release: () => void;
  /** It vanishes, and its connections with it. */
  readonly drop: () => void;
};

export type Proxy = {
  readonly port: number;
  readonly url: (scheme: string) => string;
  /** Resets every connection, and refuses new ones. */
  readonly cut: () => Promise<void>;
  /** Connections stay and new ones are accepted, but what goes in that direction, or in both, vanishes. */
  readonly blackhole: (direction?: Direction) => void;
  /** Everything arrives that much later, in order. */
  readonly delay: (ms: number) => void;
  /** Of every connection over which a request comes that matches, that request and what comes behind it, or the answers from there on, are kept back. */
  readonly hold: (matches: (request: Buffer) => boolean, direction?: Direction) => Hold;
  /** New connections go to that server of the same machine. */
  readonly redirect: (port: number) => void;
  /** How many connections were made so far. */
  readonly accepted: () => number;
  /** So do the connections whose requests are kept back, as behind a proxy that keeps its clients over a fail-over; those that wait for an answer are reset. */
  readonly move: (port: number) => void;
  /** As at first. Connections that lost bytes are reset, for what follows a gap would be garbage. */
  readonly restore: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

/** A TCP proxy before a real server, at which the network goes wrong. */
export const startProxy = async ({ host, port: firstPort }: { host: string; port: number }): Promise<Proxy> => {
  let targetPort = firstPort;
  type Connection = { reset: () => void; lead: () => void; lossy: boolean; held: boolean; asked: number; answered: number; readonly kept: Record<Direction, Promise<void>> };
  const connections = new Set<Connection>();
  const holds = new Set<{ readonly matches: (request: Buffer) => boolean; readonly catches: (connection: Connection) => void; readonly release: () => void }>();
  const swallowed = new Set<Direction>();
  let delayMs = 0;

  let accepted = 0;

  const accept = (client: Socket) => {
    accepted++;
    let target: Socket;
    const reset = () => {
      client.resetAndDestroy();
      target.resetAndDestroy();
      connections.delete(connection);
    };
    const lead = () => {
      const before: Socket | undefined = target, now = (target = connect({ host, port: targetPort, noDelay: true }));
      before?.destroy();
      pass(now, () => client, "answers", () => target === now);
      now.on("close", closed);
    };
    const connection: Connection = { reset, lead, lossy: false, held: false, asked: 0, answered: 0, kept: { requests: Promise.resolve(), answers: Promise.resolve() } };
    connections.add(connection);
    client.setNoDelay(true);
    const pass = (from: Socket, to: () => Socket, direction: Direction, counts = () => true) => {
      let earlier: Promise<unknown> = Promise.resolve();
      const inTurn = (work: () => unknown) => {
        const late = delayMs > 0 ? after(delayMs) : undefined, kept = connection.kept[direction];
        earlier = earlier.then(() => late).then(() => kept).then(work);
      };
      from.on("data", (bytes) => {
        if (!counts()) return;
        if (direction === "requests") for (const hold of holds) if (hold.matches(bytes)) hold.catches(connection);
        if (swallowed.has(direction)) connection.lossy = true;
        else inTurn(() => {
          connection[direction === "requests" ? "asked" : "answered"] = performance.now();
          to().write(bytes);
        });
      });
      // An end is swallowed as well: over a network that loses everything, nobody hears of it.
      from.on("end", () => {
        if (!counts()) return;
        if (swallowed.has(direction)) connection.lossy = true;
        else inTurn(() => to().end());
      });
      from.on("error", () => {
        if (counts()) reset();
      });
    };
    const closed = () => {
      if (client.closed && target.closed) connections.delete(connection);
    };
    client.on("close", closed);
    pass(client, () => target, "requests");
    lead();
  };

  const server = createServer({ allowHalfOpen: true }, accept);
  const listen = async (port: number) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  // One that nobody else is given while it is cut.
  const port = await freePort();
  await listen(port);
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
    hold: (matches, direction = "requests") => {
      const over = Promise.withResolvers<void>(), caught = Promise.withResolvers<true>(), taken = new Set<Connection>();
      const release = () => {
        holds.delete(hold);
        for (const connection of taken) connection.held = false;
        over.resolve();
      };
      const hold = {
        matches,
        catches: (connection: Connection) => {
          caught.resolve(true);
          if (taken.has(connection)) return;
          taken.add(connection);
          connection.held ||= direction === "requests";
          const before = connection.kept[direction];
          connection.kept[direction] = before.then(() => over.promise);
        },
        release,
      };
      holds.add(hold);
      return {
        caught: (withinMs) => Promise.race([caught.promise, after(withinMs, false as const, { ref: false })]),
        release,
        drop: () => {
          for (const { reset } of taken) reset();
          release();
        },
      };
    },
    redirect: (to) => void (targetPort = to),
    accepted: () => accepted,
    move: (to) => {
      targetPort = to;
      for (const { held, asked, answered, lead, reset } of connections) (held && answered >= asked ? lead : reset)();
    },
    restore: async () => {
      swallowed.clear();
      delayMs = 0;
      for (const { release } of holds) release();
      for (const { lossy, reset } of connections) if (lossy) reset();
      if (!server.listening) await listen(port);
    },
    stop: cut,
  };
};
