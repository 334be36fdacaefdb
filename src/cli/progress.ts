import type { SingleBar } from 'cli-progress';

/** How far a command has come. Whatever is said of it goes to standard error. */
export interface Progress {
  /** A phase that has another name than the one before ends that. `total`: undefined while nobody knows. */
  update(phase: string, done: number, total?: number): void;
  /** Ends the phase under way, if any. */
  finish(): void;
}

/** Where progress is shown; process.stderr is one. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

const LINE_MILLISECONDS = 1000;
const PHASE_CELLS = 15;

export const NO_PROGRESS: Progress = { update: () => {}, finish: () => {} };

/** A bar on a terminal; elsewhere a plain line now and then. */
export async function createProgress(
  stream: ProgressStream & NodeJS.WritableStream = process.stderr,
): Promise<Progress> {
  return stream.isTTY && process.env.TERM !== 'dumb' ? bars(stream) : plainLines(stream);
}

async function bars(stream: NodeJS.WritableStream): Promise<Progress> {
  const { SingleBar } = (await import('cli-progress')).default;
  let bar: SingleBar | undefined;
  let current: string | undefined;
  let startedAt = 0;
  const finish = (): void => {
    bar?.stop();
    bar = undefined;
    current = undefined;
  };
  return {
    update(phase, done, total) {
      if (phase !== current) {
        finish();
        current = phase;
        startedAt = performance.now();
        const amount = total ? '[{bar}] {percentage}%  {value}/{total}' : '{value}';
        bar = new SingleBar({
          ...{ format: `{phase} ${amount}{speed}`, stream, hideCursor: false, gracefulExit: false },
          ...{ barCompleteChar: '#', barIncompleteChar: '-', barsize: 24 },
        });
        bar.start(total ?? 0, done, { phase: phase.padEnd(PHASE_CELLS), speed: '' });
      }
      if (total) bar!.setTotal(total);
      bar!.update(done, { speed: speedOf(done, total, (performance.now() - startedAt) / 1000) });
    },
    finish,
  };
}

/** Rate and time left. */
export function speedOf(done: number, total: number | undefined, seconds: number): string {
  if (done === 0 || seconds < 0.1) return '';
  const rate = done / seconds;
  const shown = rate >= 10 ? Math.round(rate) : rate.toFixed(1);
  return total && done < total ? `  ${shown}/s  ${Math.ceil((total - done) / rate)} s left` : `  ${shown}/s`;
}

/** For `createProgress` where there is no terminal. `now`: the clock, in milliseconds. */
export function plainLines(stream: ProgressStream, now: () => number = () => performance.now()): Progress {
  let current: { phase: string; done: number; total: number | undefined; startedAt: number } | undefined;
  let toldAt = Number.NEGATIVE_INFINITY;
  const amount = (done: number, total: number | undefined): string => (total ? `${done} of ${total}` : `${done}`);
  const finish = (): void => {
    if (current === undefined) return;
    const { phase, done, total, startedAt } = current;
    const what = done > 0 ? `${amount(done, total)} ` : '';
    stream.write(`${phase}: ${what}in ${((now() - startedAt) / 1000).toFixed(1)} s\n`);
    current = undefined;
  };
  return {
    update(phase, done, total) {
      if (phase !== current?.phase) {
        finish();
        stream.write(`${phase}: started\n`);
        toldAt = now();
        current = { phase, done, total, startedAt: now() };
      }
      current = { ...current!, done, total };
      if (now() - toldAt < LINE_MILLISECONDS) return;
      toldAt = now();
      stream.write(`${phase}: ${amount(done, total)}\n`);
    },
    finish,
  };
}
