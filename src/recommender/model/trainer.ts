import type { Threads } from '../../coordinator/threads.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import {
  BATCH_ROWS_PER_CHUNK,
  LOGIT_ROWS,
  MAX_SLABS,
  type ParameterUpdate,
  type TowerLayout,
  updateChunks,
} from '../../protocol/training-tasks.ts';
import { logitRowBytes } from '../../shard/training-phases.ts';
import type { Optimizer } from './optimizers.ts';
import type { Retrieval } from './retrieval-task.ts';
import type { Tower } from './tower.ts';
import { TowerBatch } from './tower-batch.ts';
import type { TrainingBatch } from './training-batch.ts';
import { type Matrix, padded, type WeightMemory } from './weights.ts';

/** What one batch gave. */
export interface StepResult {
  /** Summed over the batch. */
  readonly loss: number;
  /** Per query, logits above that of its own candidate; null when nobody wants them. */
  readonly ranks: Uint32Array | null;
}

/** Working memory for batches of up to `capacity` examples. */
interface Workspace {
  readonly capacity: number;
  readonly towers: readonly [TowerBatch, TowerBatch];
  readonly panels: number;
  readonly slabGradients: number;
  readonly stats: number;
  readonly ranks: number;
  readonly corrections: number;
  readonly ids: number;
  readonly sampleWeights: number;
  readonly softmaxScratchBytes: number;
  readonly updateScratchBytes: number;
  readonly scratch: number;
  /** Per feature of both towers: distinct table rows, starts, members. */
  readonly groups: readonly { readonly distinct: number; readonly starts: number; readonly members: number }[];
}

/** Runs the steps of training over the worker threads. What a step yields does not depend on their number. */
export class Trainer {
  readonly #towers: readonly [Tower, Tower];
  readonly #store: WeightMemory;
  readonly #threads: Threads;
  readonly #width: number;
  #workspace: Workspace | null = null;
  #optimizer: Optimizer | null = null;
  #slots = new Map<Matrix, readonly number[]>();
  #steps = 0;

  constructor(queryTower: Tower, candidateTower: Tower, store: WeightMemory, threads: Threads) {
    this.#towers = [queryTower, candidateTower];
    this.#store = store;
    this.#threads = threads;
    this.#width = padded(queryTower.dimensions);
  }

  /** Takes memory for the optimiser's slots; steps count from 1 again. */
  compile(optimizer: Optimizer): void {
    this.#optimizer = optimizer;
    this.#steps = 0;
    this.#slots = new Map(
      this.#matrices().map((matrix) => {
        const before = this.#slots.get(matrix) ?? [];
        return [
          matrix,
          [
            ...optimizer.slots.map((initial, i) => {
              const pointer = before[i] ?? this.#store.allocate(matrix.words * 4);
              this.#store.f32(pointer, matrix.words).fill(initial);
              return pointer;
            }),
            // Kept for an optimiser with more slots, since memory is never given back.
            ...before.slice(optimizer.slots.length),
          ],
        ];
      }),
    );
  }

  /**
   * One step on one batch: forward, loss, and, when it trains, gradients and update.
   *
   * @throws {ScanneryError} SCANNERY_DIVERGED when the loss is not finite; the weights are then as they were
   */
  async step(batch: TrainingBatch, task: Retrieval, train: boolean): Promise<StepResult> {
    const { rows } = batch;
    const space = this.#reserve(rows);
    for (const [side, columns] of [batch.query, batch.candidate].entries()) {
      space.towers[side]!.writeIndices(columns, 0, rows, side === 0 ? 'queryFeatures' : 'candidateFeatures');
    }
    this.#write(batch, task, space);
    const towers = space.towers.map((tower) => tower.layout);
    const { memory, kernels, source } = this.#store;
    const phase = { kernels: source, memory, towers, rows };
    const blocks = 2 * Math.ceil(rows / BATCH_ROWS_PER_CHUNK);
    await this.#threads.runPhase({ ...phase, kind: 'forward', chunks: blocks });
    const [query, candidate] = towers as [TowerLayout, TowerLayout];
    kernels.packPanels(candidate.output, rows, this.#width, space.panels);
    const rowsPerSlab = Math.max(1, Math.ceil(rows / MAX_SLABS / LOGIT_ROWS)) * LOGIT_ROWS;
    const slabs = Math.ceil(rows / rowsPerSlab);
    const wantsRanks = task.batchMetrics.length > 0;
    await this.#threads.runPhase({
      ...{ kind: 'softmax', kernels: source, memory, chunks: slabs, rows, rowsPerSlab, width: this.#width, train },
      ...{ queries: query.output, candidates: candidate.output, panels: space.panels },
      scale: 1 / task.temperature,
      corrections: batch.corrections === null ? 0 : space.corrections,
      ids: task.removeAccidentalHits ? space.ids : 0,
      sampleWeights: batch.sampleWeight === null ? 0 : space.sampleWeights,
      // Kernels take 32 bits.
      hardNegatives: Math.min(task.numHardNegatives ?? 0, rows),
      stats: space.stats,
      ranks: wantsRanks ? space.ranks : 0,
      queryGradients: query.gradients.at(-1)!,
      slabGradients: space.slabGradients,
      scratch: space.scratch,
      scratchBytes: space.softmaxScratchBytes,
    });
    const loss = this.#loss(batch, space);
    if (!Number.isFinite(loss)) {
      const message = `the loss of a batch is ${loss}: its embeddings have grown too large; try a lower learning rate`;
      throw new ScanneryError('SCANNERY_DIVERGED', message, { value: loss });
    }
    const ranks = wantsRanks ? this.#store.u32(space.ranks, rows).slice() : null;
    if (train) await this.#learn(space, towers, rows, slabs);
    return { loss, ranks };
  }

  /** The embeddings of the last batch, f32 [rows x dimensions] each, as copies. */
  embeddings(rows: number): [query: Float32Array, candidate: Float32Array] {
    const [query, candidate] = this.#workspace!.towers.map((tower) => {
      const out = new Float32Array(rows * this.#towers[0].dimensions);
      tower.copyOutput(rows, out, 0);
      return out;
    });
    return [query!, candidate!];
  }

  async #learn(space: Workspace, towers: readonly TowerLayout[], rows: number, slabs: number): Promise<void> {
    const { memory, source, kernels } = this.#store;
    const phase = { kernels: source, memory, towers, rows };
    for (const { dense } of towers) {
      for (const { weights, inputs, units, panels } of dense) kernels.packPanels(weights, inputs, units, panels);
    }
    const perTower = Math.ceil(rows / BATCH_ROWS_PER_CHUNK);
    const { slabGradients } = space;
    await this.#threads.runPhase({ ...phase, kind: 'backward', chunks: 2 * perTower, slabGradients, slabs });
    const optimizer = this.#optimizer!.step(this.#steps + 1);
    const parameters = this.#parameters(space, towers, rows, perTower);
    const chunks = parameters.reduce((sum, parameter) => sum + updateChunks(parameter, optimizer), 0);
    await this.#threads.runPhase({
      ...{ kind: 'update', kernels: source, memory, chunks, optimizer, parameters },
      ...{ scratch: space.scratch, scratchBytes: space.updateScratchBytes },
    });
    this.#steps++;
  }

  #parameters(space: Workspace, towers: readonly TowerLayout[], rows: number, parts: number): ParameterUpdate[] {
    const parameters: ParameterUpdate[] = [];
    let group = 0;
    for (const [side, tower] of this.#towers.entries()) {
      const layout = towers[side]!;
      for (const [i, { embedding }] of tower.features.entries()) {
        const table = embedding.table!;
        const { indices, width, offset } = layout.features[i]!;
        const places = space.groups[group++]!;
        parameters.push({
          ...{
            kind: 'table',
            weights: table.pointer,
            slots: this.#slots.get(table)!,
            tableRows: table.rows,
            width,
            offset,
          },
          ...{ gradients: layout.gradients[0]!, gradientWidth: layout.inputWidth, ...places },
          numDistinct: this.#group(indices, rows, places),
        });
      }
      for (const [i, layer] of tower.layers.entries()) {
        const { weights, bias } = layer.parameters!;
        const { weightGradients, biasGradients } = layout.dense[i]!;
        const dense = (matrix: Matrix, gradients: number): ParameterUpdate => ({
          ...{ kind: 'dense', weights: matrix.pointer, slots: this.#slots.get(matrix)!, words: matrix.words },
          ...{ gradients, parts },
        });
        parameters.push(dense(weights, weightGradients));
        if (layer.useBias) parameters.push(dense(bias, biasGradients));
      }
    }
    return parameters;
  }

  /** Lists the batch rows of each table row that was looked up; returns the number of those. */
  #group(indices: number, rows: number, places: { distinct: number; starts: number; members: number }): number {
    const looked = this.#store.u32(indices, rows);
    const counts = new Map<number, number>();
    for (const row of looked) counts.set(row, (counts.get(row) ?? 0) + 1);
    const distinct = this.#store.u32(places.distinct, counts.size);
    distinct.set(Uint32Array.from(counts.keys()).sort());
    const starts = this.#store.u32(places.starts, counts.size + 1);
    const next = new Map<number, number>();
    let start = 0;
    for (const [i, row] of distinct.entries()) {
      starts[i] = start;
      next.set(row, start);
      start += counts.get(row)!;
    }
    starts[counts.size] = start;
    const members = this.#store.u32(places.members, rows);
    for (const [i, row] of looked.entries()) {
      const at = next.get(row)!;
      members[at] = i;
      next.set(row, at + 1);
    }
    return counts.size;
  }

  #loss({ rows, sampleWeight }: TrainingBatch, { stats }: Workspace): number {
    const figures = this.#store.f32(stats, rows * 4);
    let loss = 0;
    for (let i = 0; i < rows; i++) {
      // Of each query the maximum, the sum of exponentials and its positive's logit.
      const at = 4 * i;
      const weight = sampleWeight === null ? 1 : sampleWeight[i]!;
      loss += weight * (Math.log(figures[at + 1]!) + figures[at]! - figures[at + 2]!);
    }
    return loss;
  }

  #write({ rows, candidateIds, sampleWeight, corrections }: TrainingBatch, task: Retrieval, space: Workspace): void {
    if (corrections !== null) this.#store.f32(space.corrections, rows).set(corrections);
    if (sampleWeight !== null) this.#store.f32(space.sampleWeights, rows).set(sampleWeight);
    if (!task.removeAccidentalHits) return;
    const numbers = new Map<unknown, number>();
    const out = this.#store.u32(space.ids, rows);
    for (let i = 0; i < rows; i++) {
      const id = candidateIds![i];
      let number = numbers.get(id);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(id, number);
      }
      out[i] = number;
    }
  }

  #matrices(): Matrix[] {
    return this.#towers.flatMap(({ features, layers }) => [
      ...features.map(({ embedding }) => embedding.table!),
      ...layers.flatMap((layer) => Object.values(layer.parameters!)),
    ]);
  }

  #reserve(rows: number): Workspace {
    if (this.#workspace !== null && this.#workspace.capacity >= rows) return this.#workspace;
    // Memory is never given back, so whoever needs more takes at least twice as much.
    const capacity = padded(Math.max(rows, 2 * (this.#workspace?.capacity ?? 0)));
    const store = this.#store;
    const words = (count: number): number => store.allocate(count * 4);
    const width = this.#width;
    const softmaxScratchBytes = LOGIT_ROWS * logitRowBytes(capacity) + capacity * 8;
    const towers = this.#towers.map((tower) => new TowerBatch(tower, store, capacity, words(capacity * width)));
    const largest = Math.max(
      ...towers.map(({ layout }) => layout.inputWidth),
      ...this.#towers.flatMap(({ layers }) => layers.map((layer) => layer.parameters!.weights.words)),
    );
    const scratchBytes = Math.max(softmaxScratchBytes, largest * 4);
    this.#workspace = {
      capacity,
      towers: towers as [TowerBatch, TowerBatch],
      panels: words(capacity * width),
      slabGradients: words(MAX_SLABS * capacity * width),
      stats: words(capacity * 4),
      ranks: words(capacity),
      corrections: words(capacity),
      ids: words(capacity),
      sampleWeights: words(capacity),
      softmaxScratchBytes,
      updateScratchBytes: largest * 4,
      scratch: store.allocate(scratchBytes * this.#threads.count),
      groups: this.#towers.flatMap(({ features }) =>
        features.map(() => ({ distinct: words(capacity), starts: words(capacity + 1), members: words(capacity) })),
      ),
    };
    return this.#workspace;
  }
}
