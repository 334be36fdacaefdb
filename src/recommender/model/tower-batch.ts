import { BATCH_ROWS_PER_CHUNK, type DenseLayout, type TowerLayout } from '../../protocol/training-tasks.ts';
import type { FeatureColumn } from './features.ts';
import type { Tower } from './tower.ts';
import { padded, type WeightMemory } from './weights.ts';

/** Working memory of a tower for batches of up to `capacity` rows. */
export class TowerBatch {
  readonly layout: TowerLayout;
  readonly #tower: Tower;
  readonly #store: WeightMemory;
  readonly capacity: number;

  /** @param outputGradient where the gradient of the output, f32 [capacity x width], will be; null when it does not train */
  constructor(tower: Tower, store: WeightMemory, capacity: number, outputGradient: number | null) {
    this.#tower = tower;
    this.#store = store;
    this.capacity = capacity;
    const train = outputGradient !== null;
    const activations = (width: number): number => store.allocate(capacity * width * 4);
    let offset = 0;
    const features = tower.features.map(({ embedding }) => {
      const table = embedding.table!;
      const feature = {
        indices: store.allocate(capacity * 4),
        table: table.pointer,
        width: table.paddedColumns,
        offset,
      };
      offset += table.paddedColumns;
      return feature;
    });
    const input = activations(offset);
    const gradients = [];
    let width = offset;
    let output = input;
    const chunks = Math.ceil(capacity / BATCH_ROWS_PER_CHUNK);
    const dense = tower.layers.map((layer): DenseLayout => {
      const { weights, bias } = layer.parameters!;
      if (train) gradients.push(activations(width));
      width = weights.paddedColumns;
      output = activations(width);
      return {
        inputs: weights.paddedRows,
        units: width,
        weights: weights.pointer,
        bias: bias.pointer,
        relu: layer.activation === 'relu',
        output,
        panels: train ? store.allocate(padded(weights.paddedRows) * width * 4) : 0,
        weightGradients: train ? store.allocate(chunks * weights.words * 4) : 0,
        biasGradients: train ? store.allocate(chunks * width * 4) : 0,
      };
    });
    if (outputGradient !== null) gradients.push(outputGradient);
    this.layout = { features, dense, input, inputWidth: offset, output, width, gradients };
  }

  /**
   * Checks rows [first, first + count) of the columns and writes their table rows to the front.
   *
   * @param unnamed what errors call the column of a feature without a name
   */
  writeIndices(columns: readonly FeatureColumn[], first: number, count: number, unnamed = 'features'): void {
    for (const [i, { name, lookup, embedding }] of this.#tower.features.entries()) {
      const column = columns[i]!;
      const out = this.#store.u32(this.layout.features[i]!.indices, count);
      (lookup ?? embedding).write(column, first, name ?? unnamed, out);
    }
  }

  /** Copies rows [0, count) of the output, without padding. */
  copyOutput(count: number, out: Float32Array, at: number): void {
    const { output, width } = this.layout;
    const { dimensions } = this.#tower;
    const rows = this.#store.f32(output, count * width);
    if (width === dimensions) {
      out.set(rows, at);
      return;
    }
    for (let i = 0; i < count; i++) out.set(rows.subarray(i * width, i * width + dimensions), at + i * dimensions);
  }
}
