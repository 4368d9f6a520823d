export type KindName = "product" | "order" | "customer";

/** An entity as its clients know it. Times are milliseconds since the run began. */
export type Entity = {
  readonly kind: KindName;
  readonly id: string;
  readonly bornAt: number;
  /** Somebody has asked for its deletion. */
  deleting: boolean;
  /** Its creation went with a primary that died. */
  lost: boolean;
  /** Somebody had to do with it since it was last judged. */
  touched: boolean;
  /** What was acknowledged, newest last: what a read of the truth must not be behind. */
  floors: { readonly at: number; readonly version: number }[];
  readonly story: Told[];
};
export type Told = { readonly at: number; readonly who: string; readonly what: string };

/** A change that a client was told of. */
export type Acknowledged = {
  readonly entity: Entity; readonly key: string; readonly began: number; readonly at: number; readonly what: string;
  /** Of a deletion it is not told. */
  readonly version: number | null;
};

/** A read whose token was of an order, held against the product that the order took from: its version is in the outbox alone. */
export type Pending = { readonly product: Entity; readonly orderKey: string; readonly version: number; readonly at: number };
/** A token of that version was refused; `knownAt` is when it was had, in milliseconds since 1970. */
export type Unknown = { readonly entity: Entity; readonly version: number; readonly knownAt: number };
export type Violation = { readonly at: number; readonly what: string; readonly entity: Entity | null };

export type Demand = { readonly token: number | null; readonly noCache: boolean; readonly maxAgeSeconds: number | null };

const PATHS: Record<KindName, string> = { product: "/v1/products", order: "/v1/orders", customer: "/v1/customers" };
export const pathOf = ({ kind, id }: Entity) => `${PATHS[kind]}/${id}`;

// An entry may be served that was settled so many seconds ago: by the database's clock, which a process knows to the length of a round trip.
const CLOCK_SLACK_MS = 500;
const MOST_TOLD = 400, MOST_FLOORS = 400;

/** What clients did and were told. It judges every read at once, and keeps what can be judged only later. */
export const startHistory = () => {
  const began = performance.now(), now = () => performance.now() - began;
  const entities = new Map<string, Entity>();
  const violations: Violation[] = [];
  const events: Told[] = [];
  const counts = new Map<string, number>();
  let acknowledged: Acknowledged[] = [], pending: Pending[] = [];
  const unknown: Unknown[] = [];
  let lifeBegan = 0, mayBeUnavailable = true;
  const losses: { readonly since: number; readonly until: number }[] = [];

  const count = (name: string, by = 1) => void counts.set(name, (counts.get(name) ?? 0) + by);
  const violate = (what: string, entity: Entity | null = null) => {
    count("violations");
    if (violations.length < 50) violations.push({ at: now(), what, entity });
  };
  const tell = (entity: Entity, who: string, what: string) => {
    entity.touched = true;
    entity.story.push({ at: now(), who, what });
    if (entity.story.length > MOST_TOLD) entity.story.shift();
  };
  const floorAt = (entity: Entity, at: number): number => {
    for (let i = entity.floors.length - 1; i >= 0; i--) if (entity.floors[i]!.at <= at) return entity.floors[i]!.version;
    return 0;
  };

  const acknowledge = (one: Acknowledged) => {
    acknowledged.push(one);
    count("writes");
    const { entity, version, at } = one;
    if (version === null || one.began < lifeBegan) return;
    // Acknowledgements arrive in any order; the floor only rises.
    const floor = entity.floors.at(-1)?.version ?? 0;
    if (version > floor) entity.floors.push({ at, version });
    if (entity.floors.length > MOST_FLOORS) entity.floors.shift();
  };

  return {
    now,
    entities,
    violations,
    events,
    counts,
    unknown,
    count,
    violate,
    tell,
    acknowledge,
    /** Whether a request may be answered that the service is unavailable: only Redis away is no reason. */
    mayBeUnavailable: () => mayBeUnavailable,
    allowUnavailable: (allowed: boolean) => void (mayBeUnavailable = allowed),
    /** Something that happened to everybody. */
    log: (what: string) => {
      events.push({ at: now(), who: "", what });
      process.stdout.write(`${(now() / 1_000).toFixed(1).padStart(7)} s  ${what}\n`);
    },
    born: (kind: KindName, id: string): Entity => {
      const entity: Entity = { kind, id, bornAt: now(), deleting: false, lost: false, touched: true, floors: [], story: [] };
      entities.set(id, entity);
      return entity;
    },
    /** An answer with a body. `version` of one that is deleted is infinite: nothing is later. */
    read: (entity: Entity, { token, noCache, maxAgeSeconds }: Demand, version: number, readBegan: number, source: string) => {
      if (token !== null && version < token) violate(`a read with the token of version ${token} was answered version ${version} (${source})`, entity);
      if (readBegan < lifeBegan) return;
      const behind = noCache ? 0 : maxAgeSeconds === null ? null : maxAgeSeconds * 1_000 + CLOCK_SLACK_MS;
      if (behind === null) return;
      const floor = floorAt(entity, readBegan - behind);
      if (version < floor) violate(`a read with ${noCache ? "no-cache" : `max-age=${maxAgeSeconds}`} was answered version ${version}, and ${floor} was acknowledged ${noCache ? "" : `${behind} ms `}before (${source})`, entity);
    },
    /** To be held against the outbox. */
    later: (one: Pending) => void pending.push(one),
    /** Answers what was gathered since the last time, and forgets it. */
    take: () => {
      const taken = { acknowledged, pending };
      acknowledged = [];
      pending = [];
      return taken;
    },
    /** From `since` on, what was acknowledged may be lost: by the database, not by the service. */
    newLife: (since: number) => {
      lifeBegan = now();
      losses.push({ since, until: lifeBegan });
      for (const entity of entities.values()) entity.floors = [];
    },
    /** How often the database began a new life. */
    lives: () => losses.length,
    mayBeLost: ({ began, at }: { readonly began: number; readonly at: number }) => losses.some(({ since, until }) => at >= since && began < until),
  };
};
export type History = ReturnType<typeof startHistory>;
