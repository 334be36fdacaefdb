// How many machines of a kind a load takes, from costs per stage. Plain arithmetic: nothing is measured here.
import { amounts, type Costs, codeBytesOf, paddedTo, type RecallPoint, STAGES, type Stage } from './costs.ts';
import { leavesOf } from './sweep.ts';
import { peakOf, throughputAt } from './usl.ts';

const MAX_THREADS = 64;
const MAX_LEAVES = 1_000_000;
const MAX_SHARDS = 1024;
const MAX_PARTITIONS = 1024;
const SHARD_BYTES = 2 ** 30;
const BLOCK_LANES = 32;
const GIB = 2 ** 30;

/** Left to the system, Node and its heap. */
export const RESERVED_BYTES = 2 * GIB;
/** Share of a machine's throughput that is planned with: at all of it, queries would wait without end. */
export const UTILISATION = 0.7;
/** Contention where no law was fitted to threads. */
const ASSUMED_SIGMA = { low: 0, value: 0.03, high: 0.09 } as const;

export interface PlanInput {
  readonly n: number;
  readonly d: number;
  readonly recall: number;
  readonly qps: number;
  readonly cores: number;
  /** GiB of one machine. */
  readonly memoryGb: number;
}

export interface Memory {
  /** Stored vectors (float32), and their row numbers. */
  readonly vectors: number;
  readonly codes: number;
  /** Locals: four bytes per lane. */
  readonly locals: number;
  readonly centroids: number;
  readonly total: number;
}

export interface Range {
  /** The figure of optimistic assumptions, of likely ones and of pessimistic ones. */
  readonly best: number;
  readonly expected: number;
  readonly worst: number;
}

export interface Plan {
  readonly input: PlanInput;
  readonly leaves: number;
  readonly leavesToSearch: number;
  readonly candidates: number;
  readonly shards: number;
  readonly threads: number;
  /** Machines that hold a part each of the vectors; a query asks all of them. */
  readonly partitions: number;
  readonly replicas: number;
  readonly vectorsPerMachine: number;
  readonly memory: Memory;
  /** Queries a second that one machine answers over its part, flat out. */
  readonly qpsPerMachine: Range;
  /** Milliseconds of a query, at the planned load. */
  readonly latencyMs: Range;
  readonly machines: Range;
  /** Microseconds of kernels per query and stage, expected. */
  readonly stages: Readonly<Record<Stage, number>>;
  readonly assumptions: readonly string[];
}

/** The input cannot be planned for; the message is one line. */
export class PlanError extends Error {
  override name = 'PlanError';
}

type Case = 'best' | 'expected' | 'worst';
const SIDE = { best: 'low', expected: 'value', worst: 'high' } as const;

function check(input: PlanInput): void {
  const whole = (name: string, value: number, least: number, most: number): void => {
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new PlanError(`--${name} must be a whole number from ${least} to ${most}, not ${value}`);
  };
  whole('n', input.n, 1, 1e12);
  whole('d', input.d, 1, 4096);
  whole('cores', input.cores, 1, 1024);
  if (!(input.recall > 0 && input.recall < 1))
    throw new PlanError(`--recall must be above 0 and below 1, not ${input.recall}; all of it takes an exact search`);
  if (!(input.qps > 0 && Number.isFinite(input.qps))) throw new PlanError(`--qps must be above 0, not ${input.qps}`);
  if (!(input.memoryGb > 0 && Number.isFinite(input.memoryGb)))
    throw new PlanError(`--memory-gb must be above 0, not ${input.memoryGb}`);
}

/** Bytes of an index, without ids. Half a block of each leaf is padding, on average. */
export function memoryOf(n: number, d: number, leaves: number): Memory {
  const stride = paddedTo(d, 4);
  const lanes = n + leaves * (BLOCK_LANES / 2);
  const parts = {
    vectors: n * (stride * 4 + 4),
    codes: lanes * codeBytesOf(d),
    locals: lanes * 4,
    centroids: leaves * stride * 4,
  };
  return { ...parts, total: parts.vectors + parts.codes + parts.locals + parts.centroids };
}

/** Share of leaves and candidates for a recall, between the points measured: ln(1 - recall) over ln(fraction). */
export function searchFor(target: number, points: readonly RecallPoint[]): { fraction: number; candidates: number } {
  const sorted = [...points].sort((a, b) => a.fraction - b.fraction || a.candidates - b.candidates);
  // More leaves never find less, but for the noise of few queries.
  let most = 0;
  const curve = sorted.flatMap((point) => {
    if (point.recall <= most) return [];
    most = point.recall;
    return [point];
  });
  const at = curve.findIndex(({ recall }) => recall >= target);
  if (at < 0) throw new PlanError(`--recall ${target} is above ${most}, the highest that the costs know of`);
  const upper = curve[at]!;
  const lower = curve[at - 1];
  if (lower === undefined) return upper;
  const missing = (recall: number): number => Math.log(Math.max(1e-4, 1 - recall));
  const span = missing(lower.recall) - missing(upper.recall);
  const share = span > 0 ? Math.min(1, Math.max(0, (missing(lower.recall) - missing(target)) / span)) : 1;
  const mix = (a: number, b: number): number => Math.exp(Math.log(a) + (Math.log(b) - Math.log(a)) * share);
  return {
    fraction: mix(lower.fraction, upper.fraction),
    candidates: Math.ceil(mix(lower.candidates, upper.candidates) - 1e-9),
  };
}

/** Throughput of N threads over that of one; past the peak of a law, threads would be left unused. */
function speedup(threads: number, which: Case, costs: Costs): number {
  const sigma = costs.threads?.sigma[SIDE[which]] ?? ASSUMED_SIGMA[SIDE[which]];
  const kappa = costs.threads?.kappa[SIDE[which]] ?? 0;
  const law = { lambda: 1, sigma, kappa };
  return Math.max(1, throughputAt(law, Math.min(threads, Math.max(1, peakOf(law)))));
}

interface Machine {
  readonly leaves: number;
  readonly leavesToSearch: number;
  readonly candidates: number;
  readonly shards: number;
  readonly threads: number;
  readonly memory: Memory;
  readonly qps: Range;
  readonly idleMs: Range;
  /** Milliseconds of kernels per query, over the speedup: what a query in front costs one that waits. */
  readonly serviceMs: Range;
  readonly stages: Readonly<Record<Stage, number>>;
}

const ranged = (of: (which: Case) => number): Range => ({
  best: of('best'),
  expected: of('expected'),
  worst: of('worst'),
});

/** One machine that holds n vectors. */
function machineOf(n: number, { d, recall, cores }: PlanInput, costs: Costs): Machine {
  const leaves = Math.min(MAX_LEAVES, leavesOf(n));
  const { fraction, candidates: wanted } = searchFor(recall, costs.recall);
  const candidates = Math.max(wanted, costs.k);
  // One core is the caller's.
  const threads = Math.min(MAX_THREADS, Math.max(1, cores - 1));
  const bytes = n * paddedTo(d, 4) * 4;
  const shards = Math.max(1, Math.min(n, Math.max(threads, Math.ceil(bytes / SHARD_BYTES))));
  const searched = (share: number): number => Math.min(leaves, Math.max(1, Math.ceil(share * leaves)));
  // Larger indexes need a smaller share of their leaves, but more of them: here, the geometric mean of the two bounds.
  const gentle = leaves > costs.recallLeaves ? fraction * Math.sqrt(costs.recallLeaves / leaves) : fraction;
  const microseconds = (which: Case): Record<Stage, number> => {
    const codesScanned = Math.min(n, (searched(which === 'best' ? gentle : fraction) / leaves) * n * costs.skew);
    const codeBytes = codeBytesOf(d);
    const needed = amounts({ shards, leaves, dimensions: d, codesScanned, codeBytes, candidates });
    const each = STAGES.map((stage, i) => needed[i]! * costs.stages[stage][SIDE[which]]);
    // Longer vectors cost more to rescore, but a cache miss costs the same: the optimist counts misses only.
    const longer = which === 'best' ? Math.min(1, d / costs.dimensions) : d / costs.dimensions;
    const [query, unit, route, scan, reorder] = each as [number, number, number, number, number];
    return { query, unit, route, scan, reorder: reorder * longer };
  };
  const times = { best: microseconds('best'), expected: microseconds('expected'), worst: microseconds('worst') };
  const total = (which: Case): number => STAGES.reduce((sum, stage) => sum + times[which][stage], 0);
  const serviceMs = ranged(
    (which) => Math.max(total(which) / speedup(threads, which, costs), costs.callerMicroseconds) / 1e3,
  );
  return {
    ...{ leaves, leavesToSearch: searched(fraction), candidates, shards, threads },
    memory: memoryOf(n, d, leaves),
    qps: ranged((which) => 1e3 / serviceMs[which]),
    idleMs: ranged((which) => {
      const { query, unit, route, scan, reorder } = times[which];
      // Alone, a query is scanned by all threads; routing and reordering are counted as one thread's.
      return (
        (query + route + reorder + (unit + scan) / speedup(threads, which, costs) + costs.callerMicroseconds) / 1e3
      );
    }),
    serviceMs,
    stages: times.expected,
  };
}

/** Plans for the fewest machines; of equal ones, for the fewest partitions. */
export function plan(input: PlanInput, costs: Costs): Plan {
  check(input);
  const usable = input.memoryGb * GIB - RESERVED_BYTES;
  if (usable <= 0)
    throw new PlanError(`--memory-gb must be above ${RESERVED_BYTES / GIB}, which are left to the system and Node`);
  let best: { partitions: number; replicas: Range; machine: Machine } | undefined;
  // Every number of partitions that fits is tried, up to the same limit: with more memory there are more to choose from, so a
  // plan never needs more machines for it.
  for (let partitions = 1; partitions <= Math.min(MAX_PARTITIONS, input.n); partitions++) {
    if (best && partitions >= best.partitions * best.replicas.expected) break;
    const n = Math.ceil(input.n / partitions);
    if (memoryOf(n, input.d, leavesOf(n)).total > usable) continue;
    const machine = machineOf(n, input, costs);
    if (machine.shards > MAX_SHARDS) continue;
    const replicas = ranged((which) => Math.ceil(input.qps / (UTILISATION * machine.qps[which])));
    if (!best || partitions * replicas.expected < best.partitions * best.replicas.expected)
      best = { partitions, replicas, machine };
  }
  if (best === undefined)
    throw new PlanError(
      `${input.n} vectors of ${input.d} dimensions do not fit into ${MAX_PARTITIONS} machines of ${input.memoryGb} GiB`,
    );
  const { partitions, replicas, machine } = best;
  const { leaves, leavesToSearch, candidates, shards, threads, memory, qps, idleMs, serviceMs, stages } = machine;
  // Waiting as in one queue for all threads, M/M/1 with the whole machine as the server. Each case has the machines that it needs,
  // so that even the worst is never loaded beyond what is planned with.
  const load = (which: Case): number => Math.min(UTILISATION, input.qps / (replicas.expected * qps[which]));
  return {
    ...{ input, leaves, leavesToSearch, candidates, shards, threads, partitions, memory, stages },
    replicas: replicas.expected,
    vectorsPerMachine: Math.ceil(input.n / partitions),
    qpsPerMachine: qps,
    latencyMs: ranged((which) => idleMs[which] + (serviceMs[which] * load(which)) / (1 - load(which))),
    machines: ranged((which) => partitions * replicas[which]),
    assumptions: assumptionsOf(costs, partitions, input.n),
  };
}

export function assumptionsOf(costs: Costs, partitions: number, n: number): string[] {
  const { sigma, low, high } = costs.threads
    ? { sigma: costs.threads.sigma.value, low: costs.threads.sigma.low, high: costs.threads.sigma.high }
    : { sigma: ASSUMED_SIGMA.value, low: ASSUMED_SIGMA.low, high: ASSUMED_SIGMA.high };
  const two = (value: number): number => Number(value.toPrecision(2));
  const range = `sigma ${two(sigma)} (${two(low)} to ${two(high)})`;
  return [
    `Costs: ${costs.source}; kernels '${costs.kernels}'. Another processor has others.`,
    `Recall@${costs.k}: your vectors are as hard to find as those, and a share of the leaves finds as much whatever the size. The best ` +
      'case lets the share shrink with the root of the leaves.',
    costs.threads
      ? `Threads scale by the law that was fitted, ${range}; more threads than measured are extrapolated.`
      : `Threads scale with ${range}: assumed, for the costs hold no law of three or more thread counts with a processor each.`,
    'Memory bandwidth suffices for all threads; the costs were measured on one thread.',
    `Machines are used to ${UTILISATION * 100} %; ${RESERVED_BYTES / GIB} GiB of each are left to the system and Node, and one core to the ` +
      'caller. Ids, spare machines and the memory that building takes are not counted.',
    ...(partitions > 1
      ? ['Asking every partition and merging their answers is yours to do: an index is of one machine.']
      : []),
    ...(n < 100_000 ? ['Below 100,000 vectors the defaults use no tree; this plan has one.'] : []),
    'The range takes all optimistic, or all pessimistic, assumptions at once; it is no confidence interval.',
  ];
}
