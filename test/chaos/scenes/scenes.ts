import type { Maker } from "../Fault.ts";
import { LEASE_SCENES } from "./leases.ts";
import { RELAY_SCENES } from "./relays.ts";
import { TOKEN_SCENES } from "./tokens.ts";

/** Faults that come at a step of the protocol, as a debugger would place them. */
export const SCENES: Readonly<Record<string, Maker>> = { ...LEASE_SCENES, ...TOKEN_SCENES, ...RELAY_SCENES };
