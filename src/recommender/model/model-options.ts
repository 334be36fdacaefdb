import {
  abortSignal,
  type Check,
  callback,
  integer,
  invalid,
  type OptionTable,
  optional,
} from '../../protocol/check.ts';
import { MAX_THREADS } from '../../protocol/control-layout.ts';
import type { Features } from './features.ts';
import { Adagrad, Adam } from './optimizers.ts';
import type { TrainingProgress } from './progress-bar.ts';
import { Retrieval } from './retrieval-task.ts';
import { Tower } from './tower.ts';
import { type BatchSelectors, SELECTORS } from './training-batch.ts';

/** Batches of raw features, iterated once per epoch: a `Dataset` after `batch`, or any re-iterable. */
export type Batches = AsyncIterable<Features> | Iterable<Features>;

/** Figures by name, in TFRS's names. */
export type Logs = Record<string, number>;

export interface TwoTowerModelOptions extends BatchSelectors {
  queryTower: Tower;
  candidateTower: Tower;
  /** Default: a `Retrieval` with its defaults. */
  task?: Retrieval | undefined;
  /** Seed of the initial weights. Default 42. */
  seed?: number | undefined;
  /** Worker threads, 1 to 64. Default: os.availableParallelism(). */
  threads?: number | undefined;
}

export interface FitOptions {
  /** Passes over the data. Default 1. */
  epochs?: number | undefined;
  /** Evaluated after every epoch; its figures get the prefix `val_`. */
  validationData?: Batches | undefined;
  /** 1 draws a progress bar on standard error. Default 0. */
  verbose?: 0 | 1 | undefined;
  /** Called after every batch. An error that it throws ends the training. */
  onProgress?: ((progress: TrainingProgress) => void) | undefined;
  /** Called after every epoch, counted from 1; training ends early when it returns or resolves to false. */
  onEpochEnd?: ((epoch: number, logs: Logs) => unknown) | undefined;
  /** Ends training after the batch in work; the weights stay as they are then. */
  signal?: AbortSignal | undefined;
}

/** What fit did: one entry per epoch. */
export interface History {
  readonly epoch: number[];
  readonly history: Record<string, number[]>;
}

export const tower: Check<Tower> = (value, option) => {
  if (value instanceof Tower) return value;
  throw invalid(option, value, 'a Tower');
};

export const MODEL: OptionTable<TwoTowerModelOptions> = {
  queryTower: { default: undefined as never, check: tower },
  candidateTower: { default: undefined as never, check: tower },
  task: {
    default: undefined,
    check: (value, option) => {
      if (value instanceof Retrieval) return value;
      throw invalid(option, value, 'a Retrieval task');
    },
  },
  seed: { default: 42, check: integer(0, 2 ** 32 - 1) },
  threads: { default: undefined, check: optional(integer(1, MAX_THREADS)) },
  ...SELECTORS,
};

export interface CompileOptions {
  /** Default: an `Adagrad` with its defaults. */
  optimizer?: Adagrad | Adam | undefined;
}

export const COMPILE: OptionTable<CompileOptions> = {
  optimizer: {
    default: undefined,
    check: (value, option) => {
      if (value instanceof Adagrad || value instanceof Adam) return value;
      throw invalid(option, value, 'an Adagrad or an Adam');
    },
  },
};

export const batches: Check<Batches> = (value, option) => {
  if (typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)) {
    return value as Batches;
  }
  throw invalid(option, value, 'an iterable of batches');
};

export const FIT: OptionTable<FitOptions> = {
  epochs: { default: 1, check: integer(1) },
  validationData: { default: undefined, check: optional(batches) },
  verbose: {
    default: 0,
    check: (value, option) => {
      if (value === 0 || value === 1) return value;
      throw invalid(option, value, '0 or 1');
    },
  },
  onProgress: { default: undefined, check: callback },
  onEpochEnd: { default: undefined, check: callback },
  signal: { default: undefined, check: abortSignal },
};

export const EVALUATE: OptionTable<Pick<FitOptions, 'signal'>> = { signal: FIT.signal };
