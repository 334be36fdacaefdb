// Prometheus' text format, as far as charts need it.

/** One line: a number, and what it is of. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Counts of observations up to each bound, ascending; the last bound is Infinity. */
export interface Histogram {
  readonly bounds: readonly number[];
  /** Cumulative, as Prometheus has them. */
  readonly counts: readonly number[];
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"/g;

/** Every sample of a text; comments, and lines that are none, are passed over. */
export function parseMetrics(text: string): Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const [, name, labels = '', number] = LINE.exec(line.trim()) ?? [];
    if (name === undefined || number === undefined) continue;
    const value = numberOf(number);
    if (value === undefined) continue;
    const pairs = Array.from(labels.matchAll(LABEL), ([, label, quoted]) => [label!, unescaped(quoted!)]);
    samples.push({ name, labels: Object.fromEntries(pairs), value });
  }
  return samples;
}

function numberOf(text: string): number | undefined {
  if (/^[+-]?Inf$/i.test(text)) return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = Number(text);
  return Number.isNaN(value) && text !== 'NaN' ? undefined : value;
}

const unescaped = (text: string): string => text.replaceAll(/\\(.)/g, (_, one) => (one === 'n' ? '\n' : one));

type Matches = (labels: Sample['labels']) => boolean;

/** The samples of a name, added up over their labels; undefined if there are none. */
export function sumOf(samples: readonly Sample[], name: string, matches: Matches = () => true): number | undefined {
  const values = samples.filter((sample) => sample.name === name && matches(sample.labels)).map(({ value }) => value);
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
}

/** A histogram, added up over all labels but `le`; undefined if there is none. */
export function histogramOf(
  samples: readonly Sample[],
  name: string,
  matches: Matches = () => true,
): Histogram | undefined {
  const counts = new Map<number, number>();
  for (const { name: found, labels, value } of samples) {
    if (found !== `${name}_bucket` || !matches(labels)) continue;
    const bound = numberOf(labels.le ?? '');
    if (bound !== undefined) counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  if (counts.size === 0) return undefined;
  const bounds = [...counts.keys()].sort((a, b) => a - b);
  return { bounds, counts: bounds.map((bound) => counts.get(bound)!) };
}

/** How much a counter grew. One that fell began anew, with its server. */
export const growth = (before: number, after: number): number => (after < before ? after : after - before);

/** What was observed between two readings of a histogram. */
export function histogramGrowth(before: Histogram | undefined, after: Histogram): Histogram {
  const began = before === undefined || before.counts.at(-1)! > after.counts.at(-1)!;
  if (began || String(before.bounds) !== String(after.bounds)) return after;
  return { bounds: after.bounds, counts: after.counts.map((count, i) => count - before.counts[i]!) };
}

/**
 * The value below which the part q of the observations lies, evenly spread between two bounds, as Prometheus reckons; the last
 * finite bound for those above it. Undefined if there is no observation.
 */
export function quantile({ bounds, counts }: Histogram, q: number): number | undefined {
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return undefined;
  const rank = q * all;
  const at = counts.findIndex((count) => count >= rank);
  const bound = bounds[at]!;
  const below = at === 0 ? Math.min(0, bound) : bounds[at - 1]!;
  if (!Number.isFinite(bound)) return below;
  const before = at === 0 ? 0 : counts[at - 1]!;
  const within = counts[at]! - before;
  return within === 0 ? bound : below + ((bound - below) * (rank - before)) / within;
}
