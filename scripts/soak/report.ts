import { megabytes, table } from '../measure.ts';
import type { Growth, MemoryWatch, Sample } from './memory.ts';
import type { Model } from './model.ts';
import type { Tally } from './tally.ts';

/** How a run goes, in a line. */
export function progressLine(tally: Tally, model: Model, memory: MemoryWatch): string {
  return [
    `${memory.seconds.toFixed(0).padStart(4)} s`,
    `${tally.settled} calls, ${tally.pending} in flight`,
    `${model.submitted - 1} writes`,
    `${model.size} vectors`,
    `recall ${tally.recall.toFixed(4)}`,
    `${megabytes(memory.rss.at(-1)!.bytes)}, heap ${megabytes(memory.heap.at(-1)!.bytes)}`,
    `${tally.problemCount} problems`,
  ].join('; ');
}

export function summary(tally: Tally, seconds: number): string[] {
  const rows = [...tally.answered].map(([kind, count]) => [kind, String(count), (count / seconds).toFixed(1)]);
  return [
    '',
    table([['calls', 'answered', 'a second'], ...rows]),
    '',
    `${tally.submitted} calls submitted, ${tally.settled} settled; ${tally.besideWrites} answers of queries had writes beside ` +
      `them, ${tally.filtered} a filter, ${tally.crowded} crowding`,
    `recall of approximate searches: ${tally.recall.toFixed(4)}`,
  ];
}

export function memoryLines({ rss, heap, outside, heapInUse }: MemoryWatch, growth: Growth | undefined): string[] {
  const change = ({ bytes, mean }: { bytes: number; mean: number }): string =>
    `${bytes < 0 ? '' : '+'}${megabytes(bytes)} (${((100 * bytes) / mean).toFixed(1)} %)`;
  const grown = growth && `after the warm-up ${change(growth)}, by the least of ${growth.windows} windows`;
  const { warm, end } = heapInUse;
  const collected = warm && end && `in use ${megabytes(warm)} after the warm-up, ${megabytes(end)} at the end`;
  return [
    `resident memory: ${range(rss)}`,
    `without JavaScript's heap: ${range(outside)}; ${grown ?? 'the run was too short to tell whether it grows'}`,
    `JavaScript heap: ${range(heap)}; ${collected ?? 'the run was too short to tell whether it grows'}`,
  ];
}

function range(samples: readonly Sample[]): string {
  const bytes = samples.map((sample) => sample.bytes);
  return `${megabytes(Math.min(...bytes))} to ${megabytes(Math.max(...bytes))}`;
}
