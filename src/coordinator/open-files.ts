import { join } from 'node:path';
import { ScanneryError } from '../protocol/errors.ts';
import { damaged } from '../protocol/file-format.ts';
import { METRICS } from '../protocol/metrics.ts';
import { MAX_SHARDS } from '../protocol/options.ts';
import type { IndexData } from './build.ts';
import type { CompanionName } from './companion.ts';
import { SavedFile } from './files.ts';
import { generationPath, readCurrent } from './generations.ts';
import type { IdKind } from './id-column.ts';
import { LOG_FILE, LogReader } from './log-reader.ts';
import { INDEX_FILE, INDEX_KIND, SHARD_KIND, shardFile } from './save.ts';

/** What the index file's header says. */
export interface IndexMeta
  extends Pick<
    IndexData,
    'dimensions' | 'stride' | 'metric' | 'config' | 'request' | 'numLeaves' | 'subspaces' | 'built'
  > {
  readonly size: number;
  readonly model: number;
  readonly idKind: IdKind;
  readonly shardSizes: readonly number[];
  readonly numShards: number;
}

/** The files of one generation, open for reading. */
export interface OpenFiles {
  readonly generation: number;
  readonly files: readonly SavedFile[];
  /** What was written since they were saved, if there is a log of it. */
  readonly log: LogReader | null;
}

/** Opens every file of the current generation: the index file, then the shards, then the companion that is wanted, if any. */
export async function openFiles(directory: string, wanted: CompanionName | undefined): Promise<OpenFiles> {
  return openCurrent(directory, wanted?.kind ?? 'index', async (folder, files) => {
    files.push(await SavedFile.open(join(folder, INDEX_FILE), INDEX_KIND));
    const shards = checkMeta(files[0]!).shardSizes.length;
    for (let s = 0; s < shards; s++) files.push(await SavedFile.open(join(folder, shardFile(s)), SHARD_KIND));
    if (wanted === undefined) return;
    try {
      files.push(await SavedFile.open(join(folder, wanted.name), wanted.kind));
    } catch (error) {
      if (!isMissing(error)) throw error;
      const message = `${directory} holds an index but not a saved ${wanted.kind}`;
      throw new ScanneryError('SCANNERY_NOT_FOUND', message, { path: directory, cause: error.cause });
    }
  });
}

/** Opens files of the current generation, and starts again if a save replaces it meanwhile. */
export async function openCurrent(
  directory: string,
  kind: string,
  open: (folder: string, files: SavedFile[]) => Promise<void>,
): Promise<OpenFiles> {
  for (;;) {
    const generation = await readCurrent(directory);
    if (generation === null) {
      throw new ScanneryError('SCANNERY_NOT_FOUND', `${directory} holds no saved ${kind}`, { path: directory });
    }
    const files: SavedFile[] = [];
    let log: LogReader | null = null;
    try {
      const folder = generationPath(directory, generation);
      // First: where there is none yet, nothing had been written when this began.
      log = await LogReader.open(join(folder, LOG_FILE));
      await open(folder, files);
      return { generation, files, log };
    } catch (error) {
      await Promise.all([...files, log].map((file) => file?.close()));
      if (!isMissing(error)) throw error;
      // A save may have replaced the generation since; otherwise a file is gone.
      if ((await readCurrent(directory)) !== generation) continue;
      if (error.code === 'SCANNERY_NOT_FOUND') throw error;
      throw new ScanneryError('SCANNERY_TRUNCATED', `${error.path} is missing`, { path: error.path!, cause: error });
    }
  }
}

function isMissing(error: unknown): error is ScanneryError {
  return error instanceof ScanneryError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}

export function checkMeta(file: SavedFile): IndexMeta {
  const meta = file.header.meta as unknown as IndexMeta;
  const numbers = [meta.size, meta.built, meta.dimensions, meta.stride, meta.numLeaves, meta.subspaces, meta.model];
  const sound =
    numbers.every((n) => Number.isSafeInteger(n) && n >= 0) &&
    meta.built <= meta.size &&
    METRICS.includes(meta.metric) &&
    Array.isArray(meta.shardSizes) &&
    meta.shardSizes.length > 0 &&
    meta.shardSizes.reduce((sum, n) => sum + n, 0) === meta.size &&
    Number.isSafeInteger(meta.numShards) &&
    meta.numShards >= meta.shardSizes.length &&
    meta.numShards <= MAX_SHARDS &&
    ['row', 'integer', 'text'].includes(meta.idKind) &&
    typeof meta.config?.defaults === 'object' &&
    typeof meta.request === 'object' &&
    meta.request !== null &&
    file.header.sections.length === { row: 3, integer: 4, text: 5 }[meta.idKind];
  if (!sound) throw damaged(file.path, 'its header');
  return meta;
}
