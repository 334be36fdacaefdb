import type { Attributes, ErrorCode, Id, Index } from '../../index.ts';
import type { RowChunk, RowsFile } from './rows.ts';

const ROWS_PER_CHUNK = 1024;

/** The vectors of an index, as it holds them. */
export class IndexRows implements RowsFile {
  readonly path: string;
  readonly rows: number;
  readonly dimensions: number;
  readonly #index: Index;

  constructor(directory: string, index: Index) {
    this.path = directory;
    this.rows = index.size;
    this.dimensions = index.dimensions;
    this.#index = index;
  }

  place(_row: number, _code: ErrorCode): string {
    return this.path;
  }

  async *chunks(): AsyncGenerator<RowChunk> {
    let ids: Id[] = [];
    for await (const id of this.#index.ids()) {
      ids.push(id);
      if (ids.length < ROWS_PER_CHUNK) continue;
      yield this.#chunk(ids);
      ids = [];
    }
    if (ids.length > 0) yield this.#chunk(ids);
  }

  async #chunk(ids: readonly Id[]): Promise<RowChunk> {
    const vectors = new Float32Array(ids.length * this.dimensions);
    const attributes: (Attributes | undefined)[] = [];
    for (const [i, id] of ids.entries()) {
      const stored = (await this.#index.get(id))!;
      vectors.set(stored.vector, i * this.dimensions);
      attributes.push(stored.attributes);
    }
    return { vectors, ids, attributes };
  }
}
