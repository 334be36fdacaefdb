import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Change } from '../../src/coordinator/changes.ts';
import { LogWriter } from '../../src/coordinator/log-writer.ts';
import { openIndex } from '../../src/coordinator/open.ts';
import { saveIndex } from '../../src/coordinator/save.ts';
import { ERROR_CODES } from '../../src/index.ts';
import { resolveOpenOptions } from '../../src/protocol/live-options.ts';
import { loadKernels } from '../../src/shard/kernels/load.ts';
import { filesIn, temporaryDirectory } from './directories.ts';
import { failureOf } from './failures.ts';
import { buildInline } from './inline-build.ts';
import { logPath } from './kept-index.ts';
import { CONFIGS, type Data } from './vectors.ts';

const kernels = loadKernels();
const options = resolveOpenOptions({ threads: 1 });

interface Contents {
  readonly saved: string;
  /** Each write after saving. */
  readonly logged: readonly string[];
}

/** A saved index of two shards with ids, whose files may be replaced by others. */
export class SavedIndex {
  readonly directory = temporaryDirectory();
  files: readonly string[] = [];
  readonly #originals = new Map<string, Buffer>();
  #whole: Contents = { saved: '', logged: [] };

  /** `logged`: written to the index after it was saved. */
  static async make(data: Data, deleted: readonly number[], logged: readonly Change[] = []): Promise<SavedIndex> {
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
    if (logged.length > 0) {
      const log = await LogWriter.create(await logPath(saved.directory), { durability: 'none', dimensions });
      for (const change of logged) await log.append([change]);
      await log.close();
    }
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

  /**
   * The code of the error on opening with files replaced, 'same' if it opens as if it were whole, or 'less' if the last of what
   * was written after saving is missing.
   */
  async outcome(replaced: ReadonlyMap<string, Uint8Array>): Promise<string> {
    for (const [file, bytes] of replaced) writeFileSync(join(this.directory, file), bytes);
    try {
      let found: Contents;
      try {
        found = await this.#contents();
      } catch (error) {
        const failure = await failureOf(Promise.reject(error));
        expect(Object.keys(ERROR_CODES)).toContain(failure.code);
        if (failure.code !== 'SCANNERY_NOT_FOUND') expect(failure.path, failure.message).toContain(this.directory);
        return failure.code;
      }
      expect(found.saved === this.#whole.saved, 'an index that opens is the same').toBe(true);
      expect(found.logged).toEqual(this.#whole.logged.slice(0, found.logged.length));
      return found.logged.length === this.#whole.logged.length ? 'same' : 'less';
    } finally {
      for (const file of replaced.keys()) writeFileSync(join(this.directory, file), this.original(file));
    }
  }

  /** Everything that an open index would hold: equal contents give equal answers. No threads are needed to see it. */
  async #contents(): Promise<Contents> {
    const { data, log } = await openIndex(this.directory, kernels, options);
    const logged: string[] = [];
    try {
      if (log !== null) for await (const change of log.reader.changes(log.scan)) logged.push(textOf(change));
    } finally {
      await log?.reader.close();
    }
    const { control, shards, ids, modelEnd, rows, ...rest } = data;
    const memories = [control, ...shards].map((memory) =>
      Buffer.from(new Uint8Array(memory.buffer)).toString('latin1'),
    );
    const names = Array.from({ length: rows.count }, (_, row) => ids.at(row));
    return { saved: JSON.stringify([rest, modelEnd, names, [...rows.deleted], memories]), logged };
  }
}

function textOf(change: Change): string {
  return JSON.stringify(
    change.kind === 'upsert' ? [change.ids, change.ids.map((_, i) => Array.from(change.row(i)))] : change,
  );
}
