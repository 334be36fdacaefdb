import type { ProgressStream } from '../datasets/index.ts';
import type { Snapshot } from './driver.ts';

/** Milliseconds between lines where they cannot be redrawn. */
const PLAIN_EVERY = 1000;

export interface ProgressLine {
  show(snapshot: Snapshot): void;
  /** Clears the line; call it before printing anything else. */
  finish(): void;
}

export function progressText({ phase, elapsed, ...counts }: Snapshot): string {
  const count = (value: number): string => value.toLocaleString('en');
  const parts = [`${(elapsed / 1000).toFixed(1)} s`, `${count(counts.arrived)} arrived`];
  parts.push(`${count(counts.answered)} answered`, `${count(counts.outstanding)} outstanding`);
  if (counts.failed > 0) parts.push(`${count(counts.failed)} FAILED`);
  if (counts.dropped > 0) parts.push(`${count(counts.dropped)} DROPPED`);
  return `${phase.padEnd(8)} ${parts.join(', ')}`;
}

/** Shows how a run goes: one line that is redrawn on a terminal, a line a second elsewhere. */
export function createProgressLine(stream: ProgressStream = process.stderr): ProgressLine {
  const redraws = stream.isTTY === true && process.env.TERM !== 'dumb';
  let drawn = false;
  let writtenAt = 0;
  return {
    show(snapshot) {
      const line = progressText(snapshot);
      if (redraws) {
        stream.write(`\r\x1b[K${line.slice(0, Math.max(1, (stream.columns ?? 80) - 1))}`);
        drawn = true;
      } else if (snapshot.elapsed - writtenAt >= PLAIN_EVERY) {
        writtenAt = snapshot.elapsed;
        stream.write(`${line}\n`);
      }
    },
    finish() {
      if (drawn) stream.write('\r\x1b[K');
      drawn = false;
      writtenAt = 0;
    },
  };
}
