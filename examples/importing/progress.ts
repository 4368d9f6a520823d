/** Where there is no terminal to rewrite a line on. */
const LINE_EVERY_MS = 5_000;
const REWRITE_EVERY_MS = 100;

export interface Progress {
  /** `total` 0: not known. */
  readonly stage: (label: string, total: number) => void;
  readonly tick: () => void;
  readonly end: () => void;
}

/** One line that is rewritten on a terminal, else a line every few seconds. */
export function showProgress(stream: NodeJS.WriteStream): Progress {
  let label = "";
  let total = 0;
  let done = 0;
  let stageStart = performance.now();
  let shownAt = 0;

  const text = (): string => {
    const seconds = (performance.now() - stageStart) / 1_000;
    const rate = seconds > 0 ? Math.round(done / seconds) : 0;
    return total === 0 ? `${label} …` : `${label}: ${done} of ${total}, ${rate}/s`;
  };
  const show = (): void => {
    shownAt = performance.now();
    stream.write(stream.isTTY ? `\r\x1b[2K${text()}` : `${text()}\n`);
  };
  const showIfDue = (): void => {
    const interval = stream.isTTY ? REWRITE_EVERY_MS : LINE_EVERY_MS;
    if (performance.now() - shownAt >= interval) show();
  };
  const finishStage = (): void => {
    if (label === "") return;
    show();
    if (stream.isTTY) stream.write("\n");
    label = "";
  };

  // Also while nothing is answered: a service that is away should be seen to stand still.
  const timer = setInterval(() => {
    if (label !== "") showIfDue();
  }, REWRITE_EVERY_MS);
  timer.unref();

  return {
    stage: (nextLabel, nextTotal) => {
      finishStage();
      label = nextLabel;
      total = nextTotal;
      done = 0;
      stageStart = performance.now();
      shownAt = stageStart;
    },
    tick: () => {
      done++;
      showIfDue();
    },
    end: () => {
      finishStage();
      clearInterval(timer);
    },
  };
}
