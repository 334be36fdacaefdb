import { setImmediate as nextTurn } from 'node:timers/promises';
import { invalid } from '../../protocol/check.ts';
import { Random } from '../../protocol/random.ts';
import { forwardRows } from '../../shard/training-phases.ts';
import { Dense } from './dense.ts';
import { Embedding } from './embedding.ts';
import { batchLength, type FeatureColumn, type Features, isColumn, type QueryModel } from './features.ts';
import { StringLookup } from './string-lookup.ts';
import { TowerBatch } from './tower-batch.ts';
import { PANEL, padded, WeightMemory } from './weights.ts';

/** How a feature becomes an embedding: by a look-up of its strings, or straight from integers. */
export type FeatureLayers = readonly [StringLookup, Embedding] | readonly [Embedding];

/** One feature of a tower. */
export interface TowerFeature {
  /** Column of the batch; null when the batch is the one column. */
  readonly name: string | null;
  readonly lookup: StringLookup | null;
  readonly embedding: Embedding;
}

/** Rows that `embed` takes at once, on the caller's thread. */
const EMBED_ROWS = 1024;
const DEFAULT_SEED = 42;

/**
 * One side of a two-tower model: embeddings of raw features, side by side when there are several, through fully connected
 * layers. As a Keras Sequential of StringLookup, Embedding and Dense.
 */
export class Tower implements QueryModel {
  readonly features: readonly TowerFeature[];
  readonly layers: readonly Dense[];
  /** Numbers per embedding. */
  readonly dimensions: number;
  #store: WeightMemory | null = null;
  #batch: TowerBatch | null = null;

  /**
   * @param input the layers in order, for a tower of one feature (`[new StringLookup(...), new Embedding(...)]`, then Dense
   *   layers if any), or each feature's own layers by the name of its column
   * @param layers Dense layers over the features side by side
   */
  constructor(
    input: readonly (StringLookup | Embedding | Dense)[] | Readonly<Record<string, FeatureLayers>>,
    layers: readonly Dense[] = [],
  ) {
    if (Array.isArray(input)) {
      const first = input.findIndex((layer) => layer instanceof Dense);
      const end = first < 0 ? input.length : first;
      this.features = [featureOf(null, input.slice(0, end), 'input')];
      this.layers = [...denseLayers(input.slice(end), 'input', end), ...denseLayers(layers)];
    } else {
      if (typeof input !== 'object' || input === null) throw invalid('input', input, 'layers, or layers by feature');
      const entries = Object.entries(input);
      if (entries.length === 0) throw invalid('input', input, 'at least one feature');
      this.features = entries.map(([name, chain]) => featureOf(name, chain, `input.${name}`));
      this.layers = denseLayers(layers);
    }
    const uneven = this.features.find(({ embedding }) => embedding.outputDim % PANEL !== 0);
    if (this.features.length > 1 && this.layers.length === 0 && uneven !== undefined) {
      const allowed = `a multiple of ${PANEL} where several features have no Dense layer over them`;
      throw invalid(`input.${uneven.name}.outputDim`, uneven.embedding.outputDim, allowed);
    }
    const own = [...this.features.map(({ embedding }) => embedding), ...this.layers];
    const twice = own.find((layer, i) => own.indexOf(layer) !== i);
    if (twice !== undefined) throw invalid('input', twice, 'of layers that differ, since each has weights of its own');
    const last = this.layers.at(-1);
    this.dimensions = last?.units ?? this.features.reduce((sum, { embedding }) => sum + embedding.outputDim, 0);
  }

  /**
   * Embeddings of a batch of raw features: f32 [examples x dimensions]. Strings outside the vocabulary share one embedding.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION for a missing column or a value of the wrong type (with its row)
   */
  async embed(batch: Features): Promise<Float32Array> {
    const count = batchLength(batch);
    const columns = this.columns(batch);
    const store = this.build(null);
    this.checkPlace(store, 'tower');
    this.#batch ??= new TowerBatch(this, store, EMBED_ROWS, null);
    const work = this.#batch;
    const out = new Float32Array(count * this.dimensions);
    for (let first = 0; first < count; first += EMBED_ROWS) {
      if (first > 0) await nextTurn();
      // From here to the copy nothing else runs on this thread, so that calls share the same working memory.
      const rows = Math.min(EMBED_ROWS, count - first);
      work.writeIndices(columns, first, rows);
      forwardRows(work.layout, 0, rows, store.kernels);
      work.copyOutput(rows, out, first * this.dimensions);
    }
    return out;
  }

  /**
   * The batch's column of each feature, checked to be there.
   * @internal
   */
  columns(batch: Features, name = 'features'): FeatureColumn[] {
    return this.features.map((feature) => {
      if (feature.name === null) {
        if (isColumn(batch)) return batch;
        throw invalid(name, batch, 'a column of values, for a tower of one feature without a name');
      }
      if (isColumn(batch)) throw invalid(name, batch, `columns by name, among them ${feature.name}`);
      const column = batch[feature.name];
      if (column === undefined) throw invalid(`${name}.${feature.name}`, column, 'a column of values');
      return column;
    });
  }

  /**
   * Puts the weights into a memory, where they keep their values; null: wherever they are, or one of its own.
   * @internal
   */
  build(store: WeightMemory | null, random = new Random(DEFAULT_SEED)): WeightMemory {
    if (this.#store !== null && (store === null || store === this.#store)) return this.#store;
    const memory = store ?? new WeightMemory();
    const places: number[] = [];
    let width = 0;
    for (const { embedding } of this.features) {
      embedding.build(memory, random);
      for (let i = 0; i < embedding.outputDim; i++) places.push(width + i);
      width += padded(embedding.outputDim);
    }
    let rows = places;
    for (const layer of this.layers) {
      layer.build(memory, rows, width, random);
      rows = layer.outputRows;
      width = layer.paddedUnits;
    }
    this.#store = memory;
    this.#batch = null;
    return memory;
  }

  /**
   * Throws when weights are not in this memory, because another tower took the layer, or another model the tower.
   * @internal
   */
  checkPlace(store: WeightMemory, option: string): void {
    const matrices = [
      ...this.features.map(({ embedding }) => embedding.table),
      ...this.layers.map(({ parameters }) => parameters?.weights),
    ];
    if (matrices.every((matrix) => matrix?.store === store)) return;
    throw invalid(option, this, 'the only one to take its layers, but another tower or model has taken them since');
  }
}

function featureOf(name: string | null, chain: unknown, option: string): TowerFeature {
  const layers: readonly unknown[] = Array.isArray(chain) ? chain : [];
  const lookup = layers[0] instanceof StringLookup ? layers[0] : null;
  const embedding = layers[lookup === null ? 0 : 1];
  if (!(embedding instanceof Embedding) || layers.length !== (lookup === null ? 1 : 2)) {
    throw invalid(option, chain, 'an Embedding, or a StringLookup and an Embedding, before any Dense layers');
  }
  if (lookup !== null && embedding.inputDim < lookup.vocabularySize) {
    const allowed = `at least ${lookup.vocabularySize}, the vocabulary and one slot for what it lacks`;
    throw invalid(`${option}.inputDim`, embedding.inputDim, allowed);
  }
  return { name, lookup, embedding };
}

function denseLayers(layers: unknown, option = 'layers', first = 0): Dense[] {
  if (!Array.isArray(layers)) throw invalid(option, layers, 'an array of Dense layers');
  return layers.map((layer: unknown, i) => {
    if (layer instanceof Dense) return layer;
    throw invalid(`${option}[${first + i}]`, layer, 'a Dense layer');
  });
}
