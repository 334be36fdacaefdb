import { invalid } from '../../protocol/check.ts';
import { allocate, createMemory } from '../../shard/arena.ts';
import type { Kernels } from '../../shard/kernels/kernels.ts';
import { bindKernels, type KernelSource, loadKernels } from '../../shard/kernels/load.ts';
import { Views } from '../../shard/views.ts';

/** Widths of all matrices are padded to whole panels of this many columns. */
export const PANEL = 8;

export function padded(width: number): number {
  return Math.ceil(width / PANEL) * PANEL;
}

/** The memory that the towers of a model share: weights, and a batch's activations while it trains. */
export class WeightMemory {
  readonly source: KernelSource = loadKernels();
  readonly memory: WebAssembly.Memory = createMemory(1 << 16);
  readonly kernels: Kernels = bindKernels(this.source, this.memory);
  readonly #views = new Views(this.memory);

  allocate(bytes: number): number {
    return allocate(this.memory, bytes);
  }

  f32(pointer: number, length: number): Float32Array {
    return this.#views.refresh().f32.subarray(pointer >>> 2, (pointer >>> 2) + length);
  }

  u32(pointer: number, length: number): Uint32Array {
    return this.#views.refresh().u32.subarray(pointer >>> 2, (pointer >>> 2) + length);
  }
}

/**
 * A matrix of weights: logically [rows x columns], kept as f32 [paddedRows x paddedColumns] with zeros in between. Row i is
 * kept at `places[i]`, for inputs that are several padded features side by side.
 */
export class Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly paddedRows: number;
  readonly paddedColumns: number;
  readonly store: WeightMemory;
  readonly pointer: number;
  readonly #places: readonly number[] | null;

  constructor(
    store: WeightMemory,
    rows: number,
    columns: number,
    paddedRows = rows,
    places: readonly number[] | null = null,
  ) {
    this.store = store;
    this.rows = rows;
    this.columns = columns;
    this.paddedRows = paddedRows;
    this.paddedColumns = padded(columns);
    this.pointer = store.allocate(this.words * 4);
    this.#places = places;
  }

  /** Numbers that it takes, padding included. */
  get words(): number {
    return this.paddedRows * this.paddedColumns;
  }

  row(i: number): Float32Array {
    const place = this.#places === null ? i : this.#places[i]!;
    return this.store.f32(this.pointer + place * this.paddedColumns * 4, this.columns);
  }

  /** A copy without padding: f32 [rows x columns]. */
  read(): Float32Array {
    const out = new Float32Array(this.rows * this.columns);
    for (let i = 0; i < this.rows; i++) out.set(this.row(i), i * this.columns);
    return out;
  }

  write(values: Float32Array): void {
    for (let i = 0; i < this.rows; i++) this.row(i).set(values.subarray(i * this.columns, (i + 1) * this.columns));
  }
}

/** Returns weights that were given if they are a Float32Array of the right length; null: of any. */
export function checkWeights(weights: unknown, length: number | null, name: string): Float32Array {
  if (weights instanceof Float32Array && (length === null || weights.length === length)) return weights;
  const received = weights instanceof Float32Array ? weights.length : weights;
  throw invalid(name, received, length === null ? 'a Float32Array' : `a Float32Array of ${length} numbers`);
}
