import { parseArgs } from 'node:util';
import type { PlanInput } from './planner.ts';
import type { SweepOptions } from './sweep.ts';

/** What was asked for makes no sense; the message is one line. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export interface Arguments {
  readonly data: 'clustered' | 'glove';
  readonly rows: number;
  readonly dimensions: number;
  readonly sweep: SweepOptions;
  /** Set with --plan. */
  readonly plan?: PlanInput | undefined;
  /** Read with --plan, else written. */
  readonly costs?: string | undefined;
  readonly json?: string | undefined;
  readonly plot?: string | undefined;
}

const string = { type: 'string' } as const;
const OPTIONS = {
  data: { ...string, default: 'clustered' },
  rows: { ...string, default: '200000' },
  dimensions: { ...string, default: '64' },
  shards: { ...string, default: '1,2,4,8' },
  threads: { ...string, default: '1,2' },
  batch: { ...string, default: '1,64,1024' },
  concurrency: { ...string, default: '1,64,256' },
  rounds: { ...string, default: '5' },
  k: { ...string, default: '10' },
  queries: { ...string, default: '1024' },
  'recall-queries': { ...string, default: '200' },
  seed: { ...string, default: '42' },
  'num-leaves': string,
  leaves: string,
  candidates: string,
  ...{ json: string, plot: string, costs: string },
  plan: { type: 'boolean', default: false },
  ...{ n: string, d: string, recall: string, qps: string, cores: string, 'memory-gb': string },
} as const;

export function readArguments(args: readonly string[]): Arguments {
  const values = parsed(args);
  const number = (name: keyof typeof OPTIONS): number => {
    const text = values[name];
    if (text === undefined) throw new UsageError(`--plan needs --${name}`);
    const value = Number(text);
    if (text === '' || Number.isNaN(value)) throw new UsageError(`--${name} must be a number, not '${text}'`);
    return value;
  };
  const whole = (name: keyof typeof OPTIONS, least: number, most: number): number => {
    const value = number(name);
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new UsageError(`--${name} must be a whole number from ${least} to ${most}, not ${value}`);
    return value;
  };
  const maybe = (name: 'num-leaves' | 'leaves' | 'candidates'): number | undefined =>
    values[name] === undefined ? undefined : whole(name, 1, 2 ** 31 - 1);
  const list = (name: 'shards' | 'threads' | 'batch' | 'concurrency', most: number): number[] => {
    const numbers = values[name].split(',').map(Number);
    if (numbers.some((value) => !Number.isSafeInteger(value) || value < 1 || value > most))
      throw new UsageError(`--${name} must be whole numbers from 1 to ${most} with commas, not '${values[name]}'`);
    return [...new Set(numbers)].sort((a, b) => a - b);
  };
  if (values.data !== 'clustered' && values.data !== 'glove')
    throw new UsageError(`--data must be 'clustered' or 'glove', not '${values.data}'`);
  return {
    data: values.data,
    rows: whole('rows', 1, 2 ** 31 - 1),
    dimensions: whole('dimensions', 1, 4096),
    sweep: {
      shards: list('shards', 1024),
      threads: list('threads', 64),
      batch: list('batch', 65_536),
      concurrency: list('concurrency', 65_536),
      rounds: whole('rounds', 1, 1000),
      k: whole('k', 1, 10_000),
      queries: whole('queries', 1, 1_000_000),
      recallQueries: whole('recall-queries', 1, 100_000),
      seed: whole('seed', 0, 2 ** 32 - 1),
      numLeaves: maybe('num-leaves'),
      leaves: maybe('leaves'),
      candidates: maybe('candidates'),
    },
    plan: values.plan
      ? {
          ...{ n: number('n'), d: number('d'), recall: number('recall'), qps: number('qps') },
          ...{ cores: number('cores'), memoryGb: number('memory-gb') },
        }
      : undefined,
    ...{ costs: values.costs, json: values.json, plot: values.plot },
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    // Node's advice on how to pass a positional argument with a dash is of no use here.
    throw new UsageError((error as Error).message.split('. ')[0]!);
  }
}
