import { setImmediate as nextTurn } from 'node:timers/promises';
import { invalid } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { MAX_DIMENSIONS, MAX_MAGNITUDE, paddedDimensions } from '../protocol/metrics.ts';
import { RESERVED_BYTES, TOP_WORD } from '../protocol/shard-layout.ts';
import { allocate, createMemory } from '../shard/arena.ts';
import type { Kernels } from '../shard/kernels/kernels.ts';
import { bindKernels, type KernelSource } from '../shard/kernels/load.ts';
import { rowsLeftInChunk, STAGED_ROWS, stagedEnd, stagedRow } from '../shard/staged-rows.ts';
import { Views } from '../shard/views.ts';
import { AttributeChecker, AttributeSchema, type CheckedAttributes } from './attribute-schema.ts';
import { checkNumberOfAttributes } from './attribute-values.ts';
import { type IdColumn, IdColumnBuilder, rowIds, wrongNumberOfIds } from './id-column.ts';
import { badNumber } from './inputs.ts';
import { MAX_ROWS } from './rows.ts';
import { throwIfAborted } from './threads.ts';
import type { VectorChunk, VectorsInput } from './types.ts';

/** Bytes of rows per staging memory, unless it may become a shard's: few memories, each with a copy of the model. */
const SEGMENT_BYTES = 1 << 28;
/** Bytes by which a memory grows when nobody knows how many rows will come. */
const GROWTH_BYTES = 1 << 22;
/** Bytes copied between two turns of the event loop. */
const SLICE_BYTES = 1 << 20;

export interface Segment {
  readonly memory: WebAssembly.Memory;
  readonly firstRow: number;
  /** Pointer to the first row; `stagedRow` finds the others. */
  readonly rows: number;
  readonly capacity: number;
  count: number;
}

export interface StagingOptions {
  readonly dimensions: number | undefined;
  readonly dimensionsPerBlock: number;
  readonly normalise: boolean;
  /** Bytes of vectors up to which all are to be in one memory, which can become that of a shard; see `configure.ts`. */
  readonly oneMemoryBytes: number;
  /** Vectors that will come, if that is known. */
  readonly expected: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (done: number) => void;
}

/** Takes the vectors in: checked, padded, normalised under cosine, in shared memory. The caller's arrays are only read. */
export class Staging {
  readonly segments: Segment[] = [];
  size = 0;
  #dimensions: number | undefined;
  #stride = 0;
  #ids: IdColumnBuilder | null | undefined;
  #views!: Views;
  #kernels!: Kernels;
  readonly #kernelSource: KernelSource;
  readonly #options: StagingOptions;
  readonly #checker = new AttributeChecker(new AttributeSchema());
  /** By row; of rows without any there is nothing. */
  readonly #attributes: (CheckedAttributes | undefined)[] = [];

  constructor(kernels: KernelSource, options: StagingOptions) {
    this.#kernelSource = kernels;
    this.#options = options;
    if (options.dimensions !== undefined) this.#setDimensions(options.dimensions);
  }

  get dimensions(): number {
    if (this.#dimensions === undefined) {
      throw new ScanneryError('SCANNERY_INVALID_OPTION', 'dimensions must be given for an index without vectors', {
        option: 'dimensions',
        value: undefined,
      });
    }
    return this.#dimensions;
  }

  get stride(): number {
    return this.#stride;
  }

  /** Bytes of vectors held. */
  get bytes(): number {
    return this.size * this.#stride * 4;
  }

  get ids(): IdColumn {
    return this.#ids ? this.#ids.finish() : rowIds(this.size);
  }

  /** The attributes of a row, if it has any. */
  get attributesOf(): (row: number) => CheckedAttributes | undefined {
    return (row) => this.#attributes[row];
  }

  async add(chunk: unknown): Promise<void> {
    const { vectors, ids, attributes } = checkChunk(chunk);
    const count = this.#countRows(vectors);
    this.#checkIds(ids, count);
    if (attributes !== undefined) checkNumberOfAttributes(attributes, count, this.size);
    if (this.size + count > MAX_ROWS) {
      throw new ScanneryError('SCANNERY_NOT_SUPPORTED', `an index holds at most ${MAX_ROWS} vectors`, {
        value: this.size + count,
      });
    }
    const perSlice = Math.max(1, Math.floor(SLICE_BYTES / (Math.max(1, this.#stride) * 4)));
    for (let first = 0; first < count; ) {
      throwIfAborted(this.#options.signal);
      const segment = this.#segmentFor();
      const left = Math.min(segment.capacity - segment.count, rowsLeftInChunk(segment.count));
      const slice = Math.min(perSlice, count - first, left);
      this.#reserve(segment, segment.count + slice);
      this.#copy(vectors, first, slice, segment);
      if (this.#ids) for (let i = first; i < first + slice; i++) this.#ids.add(ids![i]);
      if (attributes !== undefined) {
        for (let i = 0; i < slice; i++) {
          const row = this.size + i;
          const own = this.#checker.check(attributes[first + i], row);
          if (Object.keys(own).length > 0) this.#attributes[row] = own;
        }
      }
      segment.count += slice;
      this.size += slice;
      first += slice;
      this.#options.onProgress(this.size);
      if (first < count) await nextTurn();
    }
  }

  #setDimensions(dimensions: number): void {
    this.#dimensions = dimensions;
    this.#stride = paddedDimensions(dimensions, this.#options.dimensionsPerBlock);
  }

  #countRows(vectors: VectorsInput): number {
    if (vectors instanceof Float32Array || vectors instanceof Float64Array) {
      if (this.#dimensions === undefined) {
        throw new ScanneryError('SCANNERY_INVALID_OPTION', 'dimensions must be given when vectors are a flat array', {
          option: 'dimensions',
          value: undefined,
        });
      }
      const count = vectors.length / this.#dimensions;
      if (Number.isInteger(count)) return count;
      const message = `vectors have ${vectors.length} numbers, which is no multiple of ${this.#dimensions} dimensions`;
      throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, {
        row: this.size + Math.floor(count),
        value: vectors.length,
      });
    }
    if (this.#dimensions === undefined && vectors.length > 0) {
      const length = vectors[0]?.length;
      if (!(Number.isInteger(length) && length! >= 1 && length! <= MAX_DIMENSIONS)) {
        const message = `row ${this.size} has ${length} numbers; 1 to ${MAX_DIMENSIONS} are possible`;
        throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { row: this.size, value: length });
      }
      this.#setDimensions(length!);
    }
    return vectors.length;
  }

  #checkIds(ids: VectorChunk['ids'], count: number): void {
    if (count === 0 && ids === undefined) return;
    if (this.#ids === undefined) this.#ids = ids === undefined ? null : new IdColumnBuilder();
    if ((this.#ids === null) !== (ids === undefined)) {
      throw new ScanneryError(
        'SCANNERY_INVALID_ID',
        `ids must come with every chunk or with none; from row ${this.size} on they differ`,
        {
          row: this.size,
        },
      );
    }
    if (ids !== undefined && ids.length !== count) throw wrongNumberOfIds(ids.length, count, this.size);
  }

  #segmentFor(): Segment {
    const last = this.segments[this.segments.length - 1];
    if (last !== undefined && last.count < last.capacity) return last;
    const { expected, oneMemoryBytes } = this.#options;
    const inOne = last === undefined ? Math.floor(oneMemoryBytes / (paddedDimensions(this.#dimensions!) * 4)) : 0;
    const whole = Math.max(1, inOne, Math.floor(SEGMENT_BYTES / (this.#stride * 4)));
    const capacity = Math.min(whole, (expected ?? MAX_ROWS) - this.size);
    const segment = { memory: createMemory(0), firstRow: this.size, rows: STAGED_ROWS, capacity, count: 0 };
    allocate(segment.memory, STAGED_ROWS - RESERVED_BYTES);
    // Only touched pages cost memory.
    if (expected !== undefined) this.#reserve(segment, capacity);
    const { memory } = segment;
    this.segments.push(segment);
    this.#views = new Views(memory);
    this.#kernels = bindKernels(this.#kernelSource, memory);
    return segment;
  }

  /** Makes room for `count` rows in all. */
  #reserve({ memory, rows, capacity }: Segment, count: number): void {
    const top = new Uint32Array(memory.buffer)[TOP_WORD]!;
    const needed = stagedEnd(rows, this.#stride, count);
    if (needed <= top) return;
    allocate(memory, Math.max(needed, Math.min(top + GROWTH_BYTES, stagedEnd(rows, this.#stride, capacity))) - top);
  }

  #copy(vectors: VectorsInput, first: number, count: number, segment: Segment): void {
    const stride = this.#stride;
    const dimensions = this.#dimensions!;
    const at = stagedRow(segment.rows, stride, segment.count);
    const { f32 } = this.#views.refresh();
    const flat = vectors instanceof Float32Array || vectors instanceof Float64Array;
    if (flat && stride === dimensions) f32.set(vectors.subarray(first * stride, (first + count) * stride), at >>> 2);
    else {
      for (let i = 0; i < count; i++) {
        const to = (at >>> 2) + i * stride;
        if (flat) f32.set(vectors.subarray((first + i) * dimensions, (first + i + 1) * dimensions), to);
        else this.#copyRow(vectors[first + i]!, this.size + i, f32, to);
        f32.fill(0, to + dimensions, to + stride);
      }
    }
    const bad = this.#kernels.firstInvalidRow(at, count, stride, MAX_MAGNITUDE);
    if (bad >= 0) {
      const row = flat
        ? vectors.subarray((first + bad) * dimensions, (first + bad + 1) * dimensions)
        : vectors[first + bad]!;
      throw badNumber(row, this.size + bad);
    }
    if (!this.#options.normalise) return;
    const zero = this.#kernels.normalizeRows(at, count, stride);
    if (zero < 0) return;
    throw new ScanneryError(
      'SCANNERY_INVALID_VECTOR',
      `row ${this.size + zero} is zero, which has no direction under cosine`,
      {
        row: this.size + zero,
      },
    );
  }

  #copyRow(source: ArrayLike<number>, row: number, f32: Float32Array, to: number): void {
    const dimensions = this.#dimensions!;
    if (source?.length !== dimensions) {
      throw new ScanneryError(
        'SCANNERY_INVALID_VECTOR',
        `row ${row} has ${source?.length} numbers instead of ${dimensions}`,
        {
          row,
          value: source?.length,
        },
      );
    }
    for (let j = 0; j < dimensions; j++) {
      const value = source[j]!;
      if (typeof value !== 'number') throw badNumber(source, row);
      f32[to + j] = value;
    }
  }
}

function checkChunk(chunk: unknown): VectorChunk {
  if (typeof chunk !== 'object' || chunk === null)
    throw invalid('vectors', chunk, 'an object with vectors and, maybe, ids');
  const { vectors, ids, attributes } = chunk as Record<string, unknown>;
  if (!(vectors instanceof Float32Array || vectors instanceof Float64Array || Array.isArray(vectors))) {
    throw invalid('vectors', vectors, 'a Float32Array, a Float64Array or an array of arrays');
  }
  if (ids !== undefined && !Array.isArray(ids) && !ArrayBuffer.isView(ids)) throw invalid('ids', ids, 'an array');
  if (attributes !== undefined && !Array.isArray(attributes)) throw invalid('attributes', attributes, 'an array');
  return { vectors, ids: ids as VectorChunk['ids'], attributes };
}
