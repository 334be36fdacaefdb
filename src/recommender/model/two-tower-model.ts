import { defaultThreads, Threads, throwIfAborted } from '../../coordinator/threads.ts';
import { invalid, resolveOptions } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { Random } from '../../protocol/random.ts';
import type { FeatureColumn, Features } from './features.ts';
import {
  type Batches,
  batches,
  COMPILE,
  type CompileOptions,
  EVALUATE,
  FIT,
  type FitOptions,
  type History,
  type Logs,
  MODEL,
  type TwoTowerModelOptions,
  tower,
} from './model-options.ts';
import { Adagrad, type Optimizer } from './optimizers.ts';
import { ProgressBar, type TrainingProgress } from './progress-bar.ts';
import { Retrieval } from './retrieval-task.ts';
import { openTowers, saveTowers } from './saved-towers.ts';
import type { Tower } from './tower.ts';
import { Trainer } from './trainer.ts';
import { type BatchSelectors, type Selector, type TrainingBatch, trainingBatch } from './training-batch.ts';
import { WeightMemory } from './weights.ts';

/**
 * A retrieval model of two towers: one embeds queries, the other candidates, and the dot product of the two is the affinity.
 * As TensorFlow Recommenders' `Model` with a `Retrieval` task. Calls of `fit` and `evaluate` take turns,
 * but those made in `onEpochEnd` come in between.
 */
export class TwoTowerModel {
  readonly queryTower: Tower;
  readonly candidateTower: Tower;
  readonly task: Retrieval;
  readonly #selectors: BatchSelectors;
  readonly #threadCount: number;
  readonly #store = new WeightMemory();
  #threads: Threads | null = null;
  #trainer: Trainer | null = null;
  #optimizer: Optimizer | null = null;
  /** Whether the trainer is still to hear of the optimiser: before its next step, since one may be in work. */
  #recompile = false;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  /**
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION, also when the towers' embeddings differ in length, share a layer, or a
   *   tower of one unnamed feature is not told which column to take
   */
  constructor(options: TwoTowerModelOptions) {
    const { queryTower, candidateTower, task, seed, threads, ...selectors } = resolveOptions(MODEL, options);
    this.queryTower = tower(queryTower, 'queryTower');
    this.candidateTower = tower(candidateTower, 'candidateTower');
    this.task = task ?? new Retrieval();
    if (queryTower.dimensions !== candidateTower.dimensions) {
      const allowed = `of ${queryTower.dimensions} dimensions, as the query tower`;
      throw invalid('candidateTower', candidateTower.dimensions, allowed);
    }
    const shared = layersOf(queryTower).find((layer) => layersOf(candidateTower).includes(layer));
    if (shared !== undefined) throw invalid('candidateTower', shared, 'without a layer of the query tower');
    needsColumn(queryTower, selectors.queryFeatures, 'queryFeatures');
    needsColumn(candidateTower, selectors.candidateFeatures, 'candidateFeatures');
    this.#selectors = selectors;
    this.#threadCount = threads ?? defaultThreads();
    const random = new Random(seed!);
    queryTower.build(this.#store, random);
    candidateTower.build(this.#store, random);
  }

  /** Sets the optimiser and starts its slots afresh; the weights stay. While `fit` works, it does so from the next batch on. */
  compile(options: CompileOptions = {}): void {
    this.#optimizer = resolveOptions(COMPILE, options).optimizer ?? new Adagrad();
    this.#recompile = true;
  }

  /**
   * Trains on the batches, one epoch after the other. The logs hold, as TFRS reports them, the `loss` of the last batch, and
   * beside it `mean_loss`, the mean per example over the epoch. The same seed and data give the same weights, bit for bit, on
   * any number of threads.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION for a bad batch (with its row), SCANNERY_DIVERGED, SCANNERY_ABORTED,
   *   SCANNERY_CLOSED, SCANNERY_OUT_OF_MEMORY, SCANNERY_WORKER_FAILED
   */
  async fit(data: Batches, options: FitOptions = {}): Promise<History> {
    const resolved = resolveOptions(FIT, options);
    batches(data, 'data');
    if (this.#optimizer === null) {
      throw new ScanneryError('SCANNERY_INVALID_OPTION', 'call `compile` with an optimizer before `fit`', {
        option: 'optimizer',
      });
    }
    return this.#exclusively(() => this.#fit(data, resolved));
  }

  /**
   * The loss over the batches (of the last one as `loss`, and `mean_loss` per example over all), the task's metrics over all
   * candidates, and those over the batch.
   */
  async evaluate(data: Batches, options: Pick<FitOptions, 'signal'> = {}): Promise<Logs> {
    const { signal } = resolveOptions(EVALUATE, options);
    batches(data, 'data');
    return this.#exclusively(() => this.#evaluate(data, signal));
  }

  /**
   * Saves both towers with their vocabularies and weights into a directory: atomic and checksummed, as `Index.save`. The
   * optimiser's slots are not kept.
   *
   * @throws {ScanneryError} SCANNERY_IO
   */
  async save(directory: string): Promise<void> {
    return this.#exclusively(() => saveTowers(directory, this.queryTower, this.candidateTower));
  }

  /**
   * A model of the towers that were saved. Training it further needs `compile`, and its task and columns to be said again.
   *
   * @param options as of the constructor, without the towers
   * @throws {ScanneryError} SCANNERY_NOT_FOUND, SCANNERY_BAD_MAGIC, SCANNERY_NEWER_VERSION, SCANNERY_TRUNCATED,
   *   SCANNERY_CHECKSUM, SCANNERY_IO, SCANNERY_INVALID_OPTION
   */
  static async load(
    directory: string,
    options: Omit<TwoTowerModelOptions, 'queryTower' | 'candidateTower'>,
  ): Promise<TwoTowerModel> {
    return new TwoTowerModel({ ...options, ...(await openTowers(directory)) });
  }

  /** Waits for the call in work, then ends the threads. The towers go on embedding. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    await this.#threads?.destroy();
    this.#threads = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #fit(data: Batches, options: FitOptions): Promise<History> {
    const { epochs, signal, onProgress, onEpochEnd, validationData } = options;
    const bar = options.verbose === 1 ? new ProgressBar() : null;
    const history: History = { epoch: [], history: {} };
    let batchCount: number | undefined;
    for (let epoch = 1; epoch <= epochs!; epoch++) {
      const started = performance.now();
      let progress!: TrainingProgress;
      const trained = await this.#pass(data, signal, true, (batch, soFar) => {
        const seconds = (performance.now() - started) / 1000;
        progress = { epoch, epochs: epochs!, batch, batches: batchCount, seconds, logs: soFar };
        bar?.update(progress);
        onProgress?.(progress);
      });
      batchCount = progress.batch;
      const logs = { ...trained };
      if (validationData !== undefined) {
        const validation = await this.#evaluate(validationData, signal);
        for (const [name, value] of Object.entries(validation)) logs[`val_${name}`] = value;
      }
      bar?.endEpoch({ ...progress, batches: batchCount, logs });
      history.epoch.push(epoch);
      for (const [name, value] of Object.entries(logs)) {
        history.history[name] ??= [];
        history.history[name].push(value);
      }
      if ((await this.#aside(() => onEpochEnd?.(epoch, logs))) === false) break;
    }
    return history;
  }

  async #evaluate(data: Batches, signal: AbortSignal | undefined): Promise<Logs> {
    const { factorizedMetrics } = this.task;
    factorizedMetrics?.resetStates();
    const logs = await this.#pass(data, signal, false, () => {});
    return { ...(factorizedMetrics?.result() ?? {}), ...logs };
  }

  /** One pass over the batches. */
  async #pass(
    data: Batches,
    signal: AbortSignal | undefined,
    train: boolean,
    report: (batch: number, logs: Logs) => void,
  ): Promise<Logs> {
    const { batchMetrics } = this.task;
    for (const metric of batchMetrics) metric.resetStates();
    this.queryTower.checkPlace(this.#store, 'queryTower');
    this.candidateTower.checkPlace(this.#store, 'candidateTower');
    const trainer = this.#start();
    let batch = 0;
    let sum = 0;
    let weight = 0;
    let logs: Logs = {};
    for await (const features of data) {
      throwIfAborted(signal);
      const given = trainingBatch(features, this.#selectors, this.queryTower, this.candidateTower);
      if (this.task.removeAccidentalHits && given.candidateIds === null) {
        throw invalid('candidateIds', undefined, 'given, for `removeAccidentalHits` tells candidates apart by them');
      }
      if (train && this.#recompile) {
        trainer.compile(this.#optimizer!);
        this.#recompile = false;
      }
      const { loss, ranks } = await trainer.step(given, this.task, train);
      for (const metric of batchMetrics) metric.update(ranks!, given.sampleWeight);
      if (!train) await this.#measure(given, trainer, signal);
      sum += loss;
      weight += given.sampleWeight === null ? given.rows : given.sampleWeight.reduce((a, b) => a + b, 0);
      logs = { loss, regularization_loss: 0, total_loss: loss, mean_loss: weight === 0 ? 0 : sum / weight };
      for (const metric of batchMetrics) logs[metric.name] = metric.result();
      report(++batch, logs);
    }
    throwIfAborted(signal);
    if (batch === 0) throw invalid('data', data, 'at least one batch');
    return logs;
  }

  async #measure(batch: TrainingBatch, trainer: Trainer, signal: AbortSignal | undefined): Promise<void> {
    const { factorizedMetrics } = this.task;
    if (factorizedMetrics === null) return;
    const [query, candidate] = trainer.embeddings(batch.rows);
    await factorizedMetrics.updateState(query, candidate, {
      trueCandidateIds: (batch.candidateIds as FeatureColumn | null) ?? undefined,
      sampleWeight: batch.sampleWeight ?? undefined,
      signal,
    });
  }

  #start(): Trainer {
    if (this.#threads === null || this.#trainer === null) {
      this.#threads = new Threads(this.#threadCount);
      this.#trainer = new Trainer(this.queryTower, this.candidateTower, this.#store, this.#threads);
    }
    return this.#trainer;
  }

  /** Runs a callback, from which the model may be called: what it starts, and awaits or not, ends before training goes on. */
  async #aside<T>(callback: () => T): Promise<Awaited<T>> {
    const outer = this.#turn;
    this.#turn = Promise.resolve();
    try {
      return await callback();
    } finally {
      await this.#turn;
      this.#turn = outer;
      // The callback may have closed the model.
      if (this.#threads === null) this.#assertOpen();
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new ScanneryError('SCANNERY_CLOSED', 'the model is closed');
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

function layersOf({ features, layers }: Tower): readonly object[] {
  return [...features.map(({ embedding }) => embedding), ...layers];
}

function needsColumn({ features }: Tower, given: Selector<Features> | undefined, option: string): void {
  if (features[0]!.name !== null || given !== undefined) return;
  throw invalid(option, given, 'the name of a column, since the tower takes one feature without a name');
}
