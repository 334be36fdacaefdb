import { join } from 'node:path';
import { text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { damaged } from '../protocol/file-format.ts';
import { METRICS } from '../protocol/metrics.ts';
import { MAX_SHARDS, type OpenOptions } from '../protocol/options.ts';
import {
  KEPT_WORD,
  RESERVED_BYTES,
  SHARD_COUNT,
  SHARD_DATA_END,
  SHARD_LANES_PER_VECTOR,
  SHARD_STRIDE,
  TOP_WORD,
} from '../protocol/shard-layout.ts';
import { createMemory, MAX_BYTES } from '../shard/arena.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import type { Companion, CompanionName } from './companion.ts';
import { soarLambdaOf } from './configure.ts';
import { plainSection, SavedFile } from './files.ts';
import { generationPath, readCurrent } from './generations.ts';
import { GrowingIds } from './growing-ids.ts';
import { type IdKind, openIdColumn } from './id-column.ts';
import type { Span } from './memory-rows.ts';
import { Rows } from './rows.ts';
import { INDEX_FILE, INDEX_KIND, memorySection, SHARD_KIND, shardFile } from './save.ts';

/** What the index file's header says. */
interface Meta
  extends Pick<IndexData, 'dimensions' | 'stride' | 'metric' | 'config' | 'request' | 'numLeaves' | 'subspaces'> {
  readonly size: number;
  readonly model: number;
  readonly idKind: IdKind;
  readonly shardSizes: readonly number[];
  readonly numShards: number;
}

/** Reads a saved index into shared memory. */
export async function openIndex(directory: unknown, kernels: KernelSource, options: OpenOptions): Promise<IndexData> {
  return withFiles(directory, undefined, (files) => readFiles(files, kernels, options));
}

/** Reads a saved index into shared memory, and the companion that was saved with it. */
export async function openIndexAndCompanion(
  directory: unknown,
  kernels: KernelSource,
  options: OpenOptions,
  wanted: CompanionName,
): Promise<{ data: IndexData } & Pick<Companion, 'meta'> & { parts: Uint8Array[] }> {
  return withFiles(directory, wanted, async (files) => {
    const companion = files.at(-1)!;
    const data = await readFiles(files.slice(0, -1), kernels, options);
    return { data, meta: companion.header.meta, parts: await readParts(companion, 0, options) };
  });
}

async function withFiles<T>(
  directory: unknown,
  wanted: CompanionName | undefined,
  read: (files: readonly SavedFile[]) => Promise<T>,
): Promise<T> {
  const files = await openFiles(text(directory, 'directory'), wanted);
  try {
    return await read(files);
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

/** Reads a file that was saved without an index. */
export async function openCompanion(
  directory: unknown,
  { name, kind }: CompanionName,
  options: OpenOptions,
): Promise<Pick<Companion, 'meta'> & { parts: Uint8Array[] }> {
  const [file] = await openCurrent(text(directory, 'directory'), kind, async (folder, files) => {
    files.push(await SavedFile.open(join(folder, name), kind));
  });
  try {
    return { meta: file!.header.meta, parts: await readParts(file!, 0, options) };
  } finally {
    await file!.close();
  }
}

/** Opens every file of the current generation: the index file, then the shards, then the companion that is wanted, if any. */
async function openFiles(directory: string, wanted: CompanionName | undefined): Promise<SavedFile[]> {
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
async function openCurrent(
  directory: string,
  kind: string,
  open: (folder: string, files: SavedFile[]) => Promise<void>,
): Promise<SavedFile[]> {
  for (;;) {
    const generation = await readCurrent(directory);
    if (generation === null) {
      throw new ScanneryError('SCANNERY_NOT_FOUND', `${directory} holds no saved ${kind}`, { path: directory });
    }
    const files: SavedFile[] = [];
    try {
      await open(generationPath(directory, generation), files);
      return files;
    } catch (error) {
      await Promise.all(files.map((file) => file.close()));
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

function checkMeta(file: SavedFile): Meta {
  const meta = file.header.meta as unknown as Meta;
  const numbers = [meta.size, meta.dimensions, meta.stride, meta.numLeaves, meta.subspaces, meta.model];
  const sound =
    numbers.every((n) => Number.isSafeInteger(n) && n >= 0) &&
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
    file.header.sections.length === { row: 2, integer: 3, text: 4 }[meta.idKind];
  if (!sound) throw damaged(file.path, 'its header');
  return meta;
}

async function readFiles(files: readonly SavedFile[], kernels: KernelSource, options: OpenOptions): Promise<IndexData> {
  const [index, ...shardFiles] = files as [SavedFile, ...SavedFile[]];
  const { size, shardSizes, model, idKind, ...meta } = checkMeta(index);
  const modelEnd = RESERVED_BYTES + index.header.sections[0]!.length;
  const control = await readMemory(index, [[RESERVED_BYTES, modelEnd]], kernels, options);
  const parts = await readParts(index, 1, options);
  const deleted = parts.pop()!;
  const entries = idKind === 'text' ? size + 1 : size;
  if (parts.length > 0 && parts[0]!.length !== entries * 8) throw damaged(index.path, 'the size of its ids');
  const shards: WebAssembly.Memory[] = [];
  const lanesPerVector = soarLambdaOf(meta.config, meta.numLeaves) === null ? 1 : 2;
  const spans = shardFiles.map(spansOf);
  for (const [s, file] of shardFiles.entries()) {
    const memory = await readMemory(file, spans[s]!, kernels, options);
    // What was added lies behind what the workers take as scratch anew.
    const words = new Int32Array(memory.buffer);
    words[KEPT_WORD] = words[TOP_WORD]!;
    const header = new Uint32Array(memory.buffer, RESERVED_BYTES, 16);
    const end = spans[s]![0]![1];
    const sound = file.header.meta.shard === s && header[SHARD_COUNT >>> 2] === shardSizes[s];
    if (header[SHARD_LANES_PER_VECTOR >>> 2] !== lanesPerVector) throw damaged(file.path, 'its shard header');
    if (!sound || header[SHARD_STRIDE >>> 2] !== meta.stride || header[SHARD_DATA_END >>> 2]! > end) {
      throw damaged(file.path, 'its shard header');
    }
    shards.push(memory);
  }
  const rows = new Rows(shards, spans);
  const list = new Uint32Array(deleted.buffer, 0, Math.floor(deleted.length / 4));
  if (list.byteLength !== deleted.length || !(await rows.restore(list))) {
    throw damaged(index.path, 'its list of deleted rows');
  }
  const ids = new GrowingIds(openIdColumn(idKind, size, parts));
  return { ...meta, lanesPerVector, model, control, modelEnd, shards, ids, rows };
}

/** What a shard file's header says of where its sections belong. */
function spansOf(file: SavedFile): readonly Span[] {
  const { spans } = file.header.meta as { spans?: readonly Span[] };
  let end = 0;
  const sound =
    Array.isArray(spans) &&
    spans.length > 0 &&
    spans.length === file.header.sections.length &&
    spans[0]![0] === RESERVED_BYTES &&
    spans.every((span, i) => {
      const follows = Number.isSafeInteger(span?.[0]) && span[0] >= end && span[1] <= MAX_BYTES;
      end = span?.[1];
      return follows && end - span[0] === file.header.sections[i]!.length;
    });
  if (!sound) throw damaged(file.path, 'its header');
  return spans;
}

/** Reads a memory, whose sections belong to these places. */
async function readMemory(
  file: SavedFile,
  spans: readonly Span[],
  kernels: KernelSource,
  options: OpenOptions,
): Promise<WebAssembly.Memory> {
  const end = spans.at(-1)![1];
  const memory = createMemory(end - RESERVED_BYTES);
  for (const [i, [from, to]] of spans.entries()) {
    await file.read(i, memorySection(kernels, memory, from, to), readingOf(options));
  }
  new Int32Array(memory.buffer)[TOP_WORD] = end | 0;
  return memory;
}

/** The sections of a file from one on, each in shared memory of its own. */
async function readParts(file: SavedFile, from: number, options: OpenOptions): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for (let i = from; i < file.header.sections.length; i++) {
    const part = new Uint8Array(new SharedArrayBuffer(file.header.sections[i]!.length));
    await file.read(i, plainSection(part), readingOf(options));
    parts.push(part);
  }
  return parts;
}

const readingOf = (options: OpenOptions) => ({ verify: options.verifyChecksums!, signal: options.signal });
