import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openIndex } from '../../src/coordinator/open.ts';
import { saveIndex } from '../../src/coordinator/save.ts';
import { ERROR_CODES } from '../../src/index.ts';
import { resolveOpenOptions } from '../../src/protocol/live-options.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { filesIn, temporaryDirectory } from './directories.ts';
import { failureOf } from './failures.ts';
import { buildInline } from './inline-build.ts';
import { CONFIGS, type Data } from './vectors.ts';

const kernels = loadKernels();
const options = resolveOpenOptions({ threads: 1 });

/** A saved index of two shards with ids, whose files may be replaced by others. */
export class SavedIndex {
  readonly directory = temporaryDirectory();
  files: readonly string[] = [];
  readonly #originals = new Map<string, Buffer>();
  #whole = '';

  static async make(data: Data, deleted: readonly number[]): Promise<SavedIndex> {
    const saved = new SavedIndex();
    const { count, dimensions } = data;
    const index = await buildInline(
      { ...data, ids: Array.from({ length: count }, (_, i) => `id ${i}`) },
      { dimensions, ...CONFIGS['tree and hashing'], shards: 2 },
    );
    const { rows } = index;
    const places = deleted.map((row) => rows.locate(row)!);
    await rows.reserve(places);
    await rows.commit(places);
    await saveIndex(saved.directory, index, kernels);
    saved.files = filesIn(saved.directory);
    for (const file of saved.files) saved.#originals.set(file, readFileSync(join(saved.directory, file)));
    saved.#whole = await saved.#contents();
    return saved;
  }

  original(file: string): Buffer {
    return this.#originals.get(file)!;
  }

  restore(): void {
    for (const [file, bytes] of this.#originals) writeFileSync(join(this.directory, file), bytes);
  }

  /** The code of the error on opening with files replaced, or 'same' if it opens as if it were whole. */
  async outcome(replaced: ReadonlyMap<string, Uint8Array>): Promise<string> {
    for (const [file, bytes] of replaced) writeFileSync(join(this.directory, file), bytes);
    try {
      let found: string;
      try {
        found = await this.#contents();
      } catch (error) {
        const failure = await failureOf(Promise.reject(error));
        expect(Object.keys(ERROR_CODES)).toContain(failure.code);
        if (failure.code !== 'SCANNERY_NOT_FOUND') expect(failure.path, failure.message).toContain(this.directory);
        return failure.code;
      }
      expect(found === this.#whole, 'an index that opens is the same').toBe(true);
      return 'same';
    } finally {
      for (const file of replaced.keys()) writeFileSync(join(this.directory, file), this.original(file));
    }
  }

  /** Everything that an open index would hold: equal contents give equal answers. No threads are needed to see it. */
  async #contents(): Promise<string> {
    const { data, log } = await openIndex(this.directory, kernels, options);
    await log?.reader.close();
    const { control, shards, ids, modelEnd, rows, ...rest } = data;
    const memories = [control, ...shards].map((memory) =>
      Buffer.from(new Uint8Array(memory.buffer)).toString('latin1'),
    );
    const names = Array.from({ length: rows.count }, (_, row) => ids.at(row));
    return JSON.stringify([rest, modelEnd, names, [...rows.deleted], memories]);
  }
}
