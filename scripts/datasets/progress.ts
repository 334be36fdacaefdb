import type { Progress } from './types.ts';

/** What a reporter writes to; process.stderr is one. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface ProgressReporter {
  /** Shows how far a phase has come; a new phase ends the one before. */
  update(progress: Progress): void;
  /** Ends the phase under way, if any; call it before printing anything else. */
  finish(): void;
}

const REDRAW_MILLISECONDS = 80;
const BAR_CELLS = 24;
const NAME_CELLS = 10;
/** Part of a phase to be done before the time left is worth telling. */
const FORESEEABLE = 0.01;

/** A count in at most five characters or so: 950, 12.3k, 307M. */
function short(count: number): string {
  let value = count;
  let unit = 0;
  for (; value >= 999.5 && unit < 4; unit++) value /= 1000;
  return `${value < 99.95 && unit > 0 ? value.toFixed(1) : Math.round(value)}${['', 'k', 'M', 'G', 'T'][unit]}`;
}

/** A time in words: 0.4 s, 12 s, 3 min 05 s. */
function time(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/**
 * Creates a reporter of progress. On a terminal it redraws one line with a bar, the rate and the time left; elsewhere
 * it writes one plain line when a phase starts and one when it ends.
 *
 * @param stream process.stderr by default
 * @param now the clock, in milliseconds
 */
export function createProgress(
  stream: ProgressStream = process.stderr,
  now: () => number = () => performance.now(),
): ProgressReporter {
  const redraws = stream.isTTY === true && process.env.TERM !== 'dumb';
  let current: Progress | undefined;
  let ended = true;
  let startedAt = 0;
  let startedWith = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;

  function draw(line: string, end: string): void {
    stream.write(`\r\x1b[K${line.slice(0, Math.max(1, (stream.columns ?? 80) - 1))}${end}`);
  }

  function running({ phase, done, total }: Progress): string {
    const elapsed = now() - startedAt;
    const rate = elapsed > 0 ? (done - startedWith) / elapsed : 0;
    const speed = rate > 0 ? `  ${short(rate * 1000)}/s` : '';
    const name = phase.padEnd(NAME_CELLS);
    if (!(total > 0)) return `${name} ${short(done)}${speed}`;
    const part = Math.min(1, Math.max(0, done / total));
    const cells = Math.floor(part * BAR_CELLS);
    const left = rate > 0 && part >= FORESEEABLE ? `  ${time((total - done) / rate)} left` : '';
    const bar = `[${'#'.repeat(cells)}${'-'.repeat(BAR_CELLS - cells)}]`;
    return `${name} ${bar} ${String(Math.floor(part * 100)).padStart(3)}%  ${short(done)}/${short(total)}${speed}${left}`;
  }

  function end(): void {
    if (ended || current === undefined) return;
    ended = true;
    const { phase, done, total } = current;
    const elapsed = now() - startedAt;
    const whole = !(total > 0) || done >= total;
    const amount = whole ? short(done) : `stopped at ${short(done)} of ${short(total)}`;
    const speed = whole && elapsed >= 1 ? ` (${short(((done - startedWith) / elapsed) * 1000)}/s)` : '';
    const result = `${amount} in ${time(elapsed)}${speed}`;
    if (redraws) draw(`${phase.padEnd(NAME_CELLS)} ${result}`, '\n');
    else stream.write(`${phase}: ${whole ? 'done, ' : ''}${result}\n`);
  }

  function update(progress: Progress): void {
    const { phase, done, total } = progress;
    const again = current !== undefined && done < current.done;
    if (current?.phase !== phase || (ended && again)) {
      end();
      ended = false;
      startedAt = now();
      startedWith = done;
      drawnAt = Number.NEGATIVE_INFINITY;
      if (!redraws) stream.write(`${phase}: started${total > 0 ? `, ${short(total)} to do` : ''}\n`);
    }
    current = { phase, done, total };
    if (ended) return;
    if (total > 0 && done >= total) {
      end();
    } else if (redraws && now() - drawnAt >= REDRAW_MILLISECONDS) {
      drawnAt = now();
      draw(running(current), '');
    }
  }

  return { update, finish: end };
}
