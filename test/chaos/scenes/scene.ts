import type { Maker, Stand, Track } from "../Fault.ts";
import type { Seeded } from "../seeded.ts";
import { Off, type Play, startPlay } from "./Play.ts";

/** A fault that comes at a step, not at a time. What it does is drawn; whether it comes to its end depends on what else goes on. */
export const scene = (name: string, what: string, draw: (random: Seeded) => (play: Play, stand: Stand) => Promise<void>, track: Track = "scene", weight = 1): Readonly<Record<string, Maker>> => ({
  [name]: {
    track,
    weight,
    draw: (random) => {
      const act = draw(random);
      return {
        what,
        run: async (stand) => {
          let play: Play | undefined;
          try {
            play = await startPlay(stand);
            await act(play, stand);
            stand.history.count(`played ${name}`);
          } catch (error) {
            if (!(error instanceof Off)) throw error;
          } finally {
            await play?.over();
          }
        },
      };
    },
  },
});
