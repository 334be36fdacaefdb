import type { Features } from '../../src/recommender/model/features.ts';
import type { Retrieval } from '../../src/recommender/model/retrieval-task.ts';
import type { Tower } from '../../src/recommender/model/tower.ts';

// A two-tower model in plain double precision, by the formulas and by nothing else, to hold the real one against.

/** A tower's weights, as it gives them. */
export interface TowerWeights {
  readonly tables: Float64Array[];
  readonly dense: { readonly weights: Float64Array; readonly bias: Float64Array }[];
}

export function weightsOf(tower: Tower): TowerWeights {
  return {
    tables: tower.features.map(({ embedding }) => Float64Array.from(embedding.getWeights()!)),
    dense: tower.layers.map((layer) => {
      const [weights, bias] = layer.getWeights()!;
      return { weights: Float64Array.from(weights), bias: Float64Array.from(bias) };
    }),
  };
}

/** Every array of weights, with a name, in a fixed order. */
export function namedArrays({ tables, dense }: TowerWeights): [name: string, values: Float64Array][] {
  return [
    ...tables.map((table, i): [string, Float64Array] => [`table ${i}`, table]),
    ...dense.flatMap(({ weights, bias }, i): [string, Float64Array][] => [
      [`weights ${i}`, weights],
      [`bias ${i}`, bias],
    ]),
  ];
}

/** Embeddings of a batch. */
export function embed(tower: Tower, { tables, dense }: TowerWeights, batch: Features): number[][] {
  const columns = tower.columns(batch);
  return Array.from({ length: columns[0]!.length }, (_, i) => {
    let x = tower.features.flatMap(({ lookup, embedding }, f) => {
      const column = columns[f]!;
      const index = lookup === null ? Number(column[i]) : lookup.call([column[i]!] as string[])[0]!;
      return [...tables[f]!.subarray(index * embedding.outputDim, (index + 1) * embedding.outputDim)];
    });
    for (const [l, { units, activation }] of tower.layers.entries()) {
      const { weights, bias } = dense[l]!;
      const input = x;
      x = Array.from({ length: units }, (_, u) => {
        const sum = input.reduce((total, value, k) => total + value * weights[k * units + u]!, bias[u]!);
        return activation === 'relu' ? Math.max(0, sum) : sum;
      });
    }
    return x;
  });
}

export interface LossExtras {
  readonly ids?: readonly unknown[] | undefined;
  readonly sampleWeight?: readonly number[] | undefined;
  readonly probabilities?: readonly number[] | undefined;
}

/** Logits of query i over all candidates of the batch, as the task would have them. */
export function logits(q: number[][], c: number[][], i: number, task: Retrieval, extras: LossExtras): number[] {
  const { ids, probabilities } = extras;
  let row = c.map((candidate) => candidate.reduce((sum, value, k) => sum + value * q[i]![k]!, 0) / task.temperature);
  if (probabilities !== undefined) row = row.map((value, j) => value - Math.log(Math.max(1e-6, probabilities[j]!)));
  if (task.removeAccidentalHits) {
    row = row.map((value, j) => (j !== i && ids![j] === ids![i] ? Number.NEGATIVE_INFINITY : value));
  }
  if (task.numHardNegatives === undefined) return row;
  const order = row.map((_, j) => j).filter((j) => j !== i);
  order.sort((a, b) => (row[a] === row[b] ? a - b : row[b]! - row[a]!));
  const kept = new Set([i, ...order.slice(0, task.numHardNegatives)]);
  return row.map((value, j) => (kept.has(j) ? value : Number.NEGATIVE_INFINITY));
}

/** Softmax cross-entropy, summed over the batch. */
export function lossOf(q: number[][], c: number[][], task: Retrieval, extras: LossExtras = {}): number {
  let loss = 0;
  for (let i = 0; i < q.length; i++) {
    const row = logits(q, c, i, task, extras);
    const most = Math.max(...row);
    const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
    loss += (extras.sampleWeight?.[i] ?? 1) * (Math.log(sum) + most - row[i]!);
  }
  return loss;
}
