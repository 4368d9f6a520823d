import { Effect } from "effect";
import { eventually } from "../support/eventually.ts";

/** A call to a port that stands before its gate. */
export type Held = {
  readonly name: string;
  /** It is made, and the answer goes to whoever called; resolves when it has. */
  readonly pass: () => Promise<void>;
  /** The caller is told that it failed, and it never arrives. */
  readonly lose: () => void;
  /** The caller is told that it failed, and it arrives when this is called. */
  readonly late: () => () => Promise<unknown>;
};

type Turn = "pass" | "lose";
class Lost extends Error {}

/** One actor's way to its ports: every call waits here until the schedule lets it through. */
export class Gate {
  readonly held: Held[] = [];
  /** Nobody is kept waiting any more. */
  open = false;

  private hold(name: string, late: () => Promise<unknown> = () => Promise.reject(new Error(`${name} is never late`))): { readonly turn: Promise<Turn>; readonly over: () => void } {
    const turn = Promise.withResolvers<Turn>(), over = Promise.withResolvers<void>();
    if (this.open) turn.resolve("pass");
    else {
      const leave = (as: Turn) => {
        this.held.splice(this.held.indexOf(held), 1);
        turn.resolve(as);
      };
      const held: Held = {
        name,
        pass: () => {
          leave("pass");
          return over.promise;
        },
        lose: () => leave("lose"),
        late: () => {
          leave("lose");
          return late;
        },
      };
      this.held.push(held);
    }
    return { turn: turn.promise, over: over.resolve };
  }

  /** Before a call that answers by a promise. */
  promise = async <A>(name: string, call: () => Promise<A>): Promise<A> => {
    const { turn, over } = this.hold(name, call);
    if ((await turn) === "lose") throw new Lost(`${name} did not get through`);
    try {
      return await call();
    } finally {
      over();
    }
  };

  /** Before one that is an effect: it cannot be lost, for what the database does not get is no step of the protocol. */
  effect = <A, E, R>(name: string, call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const { turn, over } = this.hold(name);
      return Effect.andThen(Effect.promise(() => turn), call).pipe(Effect.onExit(() => Effect.sync(over)));
    });

  /** Twice: before the work, and before what makes the end of it, which `around` has after it. */
  twice = <A, E, R, E2>(first: string, second: string, work: Effect.Effect<A, E, R>, around: (inner: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2, R>): Effect.Effect<A, E | E2, R> =>
    Effect.suspend(() => {
      let ended: () => void = () => undefined;
      const stop = Effect.suspend(() => {
        const { turn, over } = this.hold(second);
        ended = over;
        return Effect.promise(() => turn);
      });
      return around(Effect.tap(this.effect(first, work), () => stop)).pipe(Effect.onExit(() => Effect.sync(() => ended())));
    });

  /** The next call of that name, which may still be on its way. */
  next = (name: string): Promise<Held> =>
    eventually(() => this.held.find((held) => held.name === name) ?? Promise.reject(new Error(`no ${name} waits, but ${this.held.map((held) => held.name).join(", ") || "nothing"}`)), { within: 20_000 });

  /** Open for as long as some work lasts. */
  through = async <A>(work: () => Promise<A>): Promise<A> => {
    this.open = true;
    try {
      return await work();
    } finally {
      this.open = false;
    }
  };

  letAllThrough = (): void => {
    this.open = true;
    while (this.held.length > 0) void this.held[0]!.pass();
  };
}
