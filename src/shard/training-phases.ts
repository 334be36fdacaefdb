import { CURSOR_SCRATCH } from '../protocol/messages.ts';
import {
  BATCH_ROWS_PER_CHUNK,
  type BackwardTask,
  type ForwardTask,
  LOGIT_ROWS,
  type ParameterUpdate,
  type SoftmaxTask,
  TABLE_ROWS_PER_CHUNK,
  type TowerLayout,
  type TrainingTask,
  type UpdateTask,
  updateChunks,
} from '../protocol/training-tasks.ts';
import { eachChunk } from './each-chunk.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels } from './kernels/load.ts';
import { Views } from './views.ts';

/** Candidates per pass of the products with the softmax's gradient: their embeddings stay in the first-level cache. */
const CANDIDATES_PER_PASS = 256;

/** Takes chunks of a training phase until none are left; every worker runs this at the same time. */
export function runTrainingPhase(task: TrainingTask): void {
  const kernels = bindKernels(task.kernels, task.memory);
  switch (task.kind) {
    case 'forward':
      forward(task, kernels);
      break;
    case 'softmax':
      softmax(task, kernels);
      break;
    case 'backward':
      backward(task, kernels);
      break;
    case 'update':
      update(task, kernels);
      break;
  }
}

/** The tower and rows that a chunk of the forward or backward phase stands for. */
function blockOf({ towers, rows }: ForwardTask | BackwardTask, chunk: number) {
  const perTower = Math.ceil(rows / BATCH_ROWS_PER_CHUNK);
  const side = Math.floor(chunk / perTower);
  const block = chunk % perTower;
  const first = block * BATCH_ROWS_PER_CHUNK;
  return { tower: towers[side]!, side, block, first, count: Math.min(BATCH_ROWS_PER_CHUNK, rows - first) };
}

function forward(task: ForwardTask, kernels: Kernels): void {
  eachChunk(task, (chunk) => {
    const { tower, first, count } = blockOf(task, chunk);
    forwardRows(tower, first, count, kernels);
  });
}

/** Outputs of a tower for rows [first, first + count) of its batch. */
export function forwardRows(tower: TowerLayout, first: number, count: number, kernels: Kernels): void {
  const rowBytes = tower.inputWidth * 4;
  let input = tower.input + first * rowBytes;
  for (const { table, width, indices, offset } of tower.features) {
    kernels.gatherRows(table, width, indices + first * 4, count, input + offset * 4, rowBytes);
  }
  for (const { inputs, units, weights, bias, relu, output } of tower.dense) {
    const out = output + first * units * 4;
    kernels.fillRows(bias, units, count, out);
    kernels.matmul(input, inputs * 4, 4, weights, units * 4, 32, out, units * 4, count, units, inputs);
    if (relu) kernels.relu(out, count * units);
    input = out;
  }
}

function softmax(task: SoftmaxTask, kernels: Kernels): void {
  const { rows, rowsPerSlab, width, train } = task;
  const logits = task.scratch + Atomics.add(task.cursor, CURSOR_SCRATCH, 1) * task.scratchBytes;
  const padded = Math.ceil(rows / 8) * 8;
  const logitRow = logitRowBytes(rows);
  const keys = logits + LOGIT_ROWS * logitRow;
  const rowBytes = width * 4;
  const weights = new Views(task.memory).f32.subarray(task.sampleWeights >>> 2);
  const weightOf = (row: number): number => (task.sampleWeights === 0 ? 1 : weights[row]!);

  const scoreRow = (row: number, x: number): void => {
    kernels.adjustLogits(x, rows, task.scale, task.corrections, task.ids, row);
    if (task.hardNegatives > 0) kernels.keepHardNegatives(x, rows, row, task.hardNegatives, keys);
    if (task.ranks !== 0) rankOf(row, kernels.countGreater(x, rows, row));
    const stats = task.stats + row * 16;
    if (train) kernels.softmaxGradient(x, rows, row, Math.fround(weightOf(row) * task.scale), stats);
    else kernels.softmaxStats(x, rows, row, stats);
  };
  const ranks = new Views(task.memory).u32.subarray(task.ranks >>> 2);
  const rankOf = (row: number, rank: number): void => {
    ranks[row] = rank;
  };

  eachChunk(task, (slab) => {
    const end = Math.min(rows, (slab + 1) * rowsPerSlab);
    const sums = task.slabGradients + slab * rows * rowBytes;
    if (train) kernels.fillRows(0, width, rows, sums);
    for (let first = slab * rowsPerSlab; first < end; first += LOGIT_ROWS) {
      const count = Math.min(LOGIT_ROWS, end - first);
      const queries = task.queries + first * rowBytes;
      kernels.fillRows(0, logitRow / 4, count, logits);
      kernels.matmul(
        ...([queries, rowBytes, 4, task.panels, 32, width * 32] as const),
        ...([logits, logitRow, count, padded, width] as const),
      );
      for (let i = 0; i < count; i++) scoreRow(first + i, logits + i * logitRow);
      if (!train) continue;
      const gradients = task.queryGradients + first * rowBytes;
      kernels.fillRows(0, width, count, gradients);
      for (let j = 0; j < rows; j += CANDIDATES_PER_PASS) {
        const candidates = Math.min(CANDIDATES_PER_PASS, rows - j);
        const tile = logits + j * 4;
        const from = task.candidates + j * rowBytes;
        kernels.matmul(tile, logitRow, 4, from, rowBytes, 32, gradients, rowBytes, count, width, candidates);
        kernels.matmul(
          tile,
          4,
          logitRow,
          queries,
          rowBytes,
          32,
          sums + j * rowBytes,
          rowBytes,
          candidates,
          width,
          count,
        );
      }
    }
  });
}

/** Bytes of a row of logits; not a power of two, so that the rows of a tile do not fall into the same lines of the cache. */
export function logitRowBytes(rows: number): number {
  return (Math.ceil(rows / 8) * 8 + 16) * 4;
}

function backward(task: BackwardTask, kernels: Kernels): void {
  eachChunk(task, (chunk) => {
    const { tower, side, block, first, count } = blockOf(task, chunk);
    const { dense, width, gradients } = tower;
    let gradient = gradients[dense.length]! + first * width * 4;
    if (side === 1) {
      kernels.fillRows(0, width, count, gradient);
      for (let s = 0; s < task.slabs; s++) {
        const part = task.slabGradients + (s * task.rows + first) * width * 4;
        // One long row each: a sum of two arrays.
        kernels.addRows(part, count * width, 1, gradient);
      }
    }
    for (let i = dense.length - 1; i >= 0; i--) {
      const { inputs, units, relu, output, panels, weightGradients, biasGradients } = dense[i]!;
      const input = (i === 0 ? tower.input : dense[i - 1]!.output) + first * inputs * 4;
      if (relu) kernels.reluGradient(gradient, output + first * units * 4, count * units);
      const bias = biasGradients + block * units * 4;
      kernels.fillRows(0, units, 1, bias);
      kernels.addRows(gradient, units, count, bias);
      const weights = weightGradients + block * inputs * units * 4;
      kernels.fillRows(0, units, inputs, weights);
      kernels.matmul(input, 4, inputs * 4, gradient, units * 4, 32, weights, units * 4, inputs, units, count);
      const below = gradients[i]! + first * inputs * 4;
      kernels.fillRows(0, inputs, count, below);
      kernels.matmul(gradient, units * 4, 4, panels, 32, units * 32, below, inputs * 4, count, inputs, units);
      gradient = below;
    }
  });
}

function update(task: UpdateTask, kernels: Kernels): void {
  const scratch = task.scratch + Atomics.add(task.cursor, CURSOR_SCRATCH, 1) * task.scratchBytes;
  const chunks = task.parameters.flatMap((parameter) =>
    Array.from({ length: updateChunks(parameter, task.optimizer) }, (_, chunk) => ({ parameter, chunk })),
  );
  const views = new Views(task.memory);
  eachChunk(task, (i) => {
    const { parameter, chunk } = chunks[i]!;
    if (parameter.kind === 'table') updateTable(task, parameter, chunk, scratch, kernels, views);
    else {
      const { words, gradients, parts } = parameter;
      kernels.fillRows(0, words, 1, scratch);
      kernels.addRows(gradients, words, parts, scratch);
      step(task, parameter, 0, scratch, words, kernels);
    }
  });
}

function updateTable(
  task: UpdateTask,
  parameter: Extract<ParameterUpdate, { kind: 'table' }>,
  chunk: number,
  scratch: number,
  kernels: Kernels,
  { u32 }: Views,
): void {
  const { width, gradients, gradientWidth, offset, distinct, numDistinct, starts, members, tableRows } = parameter;
  const at = (pointer: number, i: number): number => u32[(pointer >>> 2) + i]!;
  const sum = (i: number): number => {
    const start = at(starts, i);
    const count = at(starts, i + 1) - start;
    kernels.sumOfRows(gradients, gradientWidth, members + start * 4, count, scratch);
    return scratch + offset * 4;
  };
  const first = chunk * TABLE_ROWS_PER_CHUNK;
  if (task.optimizer.kind === 'adagrad') {
    const end = Math.min(numDistinct, first + TABLE_ROWS_PER_CHUNK);
    for (let i = first; i < end; i++) step(task, parameter, at(distinct, i) * width, sum(i), width, kernels);
    return;
  }
  const end = Math.min(tableRows, first + TABLE_ROWS_PER_CHUNK);
  let i = lowerBound(u32, distinct >>> 2, numDistinct, first);
  for (let row = first; row < end; row++) {
    const looked = i < numDistinct && at(distinct, i) === row;
    step(task, parameter, row * width, looked ? sum(i++) : 0, width, kernels);
  }
}

/** The first of `count` ascending words from `start` that is at least `value`. */
function lowerBound(words: Uint32Array, start: number, count: number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (words[start + middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The optimiser's step for `words` weights from word `from`; gradient 0 stands for zeros. */
function step(
  { optimizer }: UpdateTask,
  { weights, slots }: ParameterUpdate,
  from: number,
  gradient: number,
  words: number,
  kernels: Kernels,
): void {
  const at = (pointer: number): number => pointer + from * 4;
  if (optimizer.kind === 'adagrad') {
    kernels.adagrad(at(weights), at(slots[0]!), gradient, words, optimizer.learningRate, optimizer.epsilon);
    return;
  }
  const { alpha, beta1, beta2, epsilon } = optimizer;
  kernels.adam(at(weights), at(slots[0]!), at(slots[1]!), gradient, words, alpha, beta1, beta2, epsilon);
}
