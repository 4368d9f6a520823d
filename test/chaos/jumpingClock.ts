import { seeded } from "./seeded.ts";

/**
 * Loaded into a process of Holdfast before its main (`node --import`): on every SIGUSR2 the clock that JavaScript shows jumps by up to ten minutes, forward or
 * back. `performance.now`, which never goes back on any machine, goes on as it does.
 */
const RealDate = Date, random = seeded(Number(process.env["CHAOS_CLOCK"] ?? 0));
let shift = 0;

class JumpingDate extends RealDate {
  constructor(...given: readonly unknown[]) {
    super(...((given.length === 0 ? [RealDate.now() + shift] : given) as [number]));
  }
  static override now() {
    return RealDate.now() + shift;
  }
}
globalThis.Date = JumpingDate as DateConstructor;

process.on("SIGUSR2", () => {
  shift = Math.round(random.between(-600_000, 600_000));
});
