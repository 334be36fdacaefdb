import { join } from 'node:path';
import { text } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';
import { damaged } from '../protocol/file-format.ts';
import { METRICS } from '../protocol/metrics.ts';
import type { OpenOptions } from '../protocol/options.ts';
import { RESERVED_BYTES, SHARD_COUNT, SHARD_DATA_END, SHARD_STRIDE, TOP_WORD } from '../protocol/shard-layout.ts';
import { createMemory } from '../shard/arena.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import { plainSection, SavedFile } from './files.ts';
import { generationPath, readCurrent } from './generations.ts';
import { type IdKind, openIdColumn } from './id-column.ts';
import { INDEX_FILE, INDEX_KIND, memorySection, SHARD_KIND, shardFile } from './save.ts';

/** What the index file's header says. */
interface Meta
  extends Pick<IndexData, 'size' | 'dimensions' | 'stride' | 'metric' | 'config' | 'numLeaves' | 'subspaces'> {
  readonly model: number;
  readonly idKind: IdKind;
  readonly shardSizes: readonly number[];
}

/** Reads a saved index into shared memory. */
export async function openIndex(directory: unknown, kernels: KernelSource, options: OpenOptions): Promise<IndexData> {
  const path = text(directory, 'directory');
  const files = await openFiles(path);
  try {
    return await readFiles(files, kernels, options);
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

/** Opens every file of the current generation: the index file, then the shards. */
async function openFiles(directory: string): Promise<SavedFile[]> {
  for (;;) {
    const generation = await readCurrent(directory);
    if (generation === null) {
      throw new ScanneryError('SCANNERY_NOT_FOUND', `${directory} holds no saved index`, { path: directory });
    }
    const folder = generationPath(directory, generation);
    const files: SavedFile[] = [];
    try {
      files.push(await SavedFile.open(join(folder, INDEX_FILE), INDEX_KIND));
      const { shardSizes } = checkMeta(files[0]!);
      for (let s = 0; s < shardSizes.length; s++)
        files.push(await SavedFile.open(join(folder, shardFile(s)), SHARD_KIND));
      return files;
    } catch (error) {
      await Promise.all(files.map((file) => file.close()));
      const missing = error instanceof ScanneryError && (error.cause as NodeJS.ErrnoException)?.code === 'ENOENT';
      if (!missing) throw error;
      // A save may have replaced the generation since; otherwise a file is gone.
      if ((await readCurrent(directory)) !== generation) continue;
      throw new ScanneryError('SCANNERY_TRUNCATED', `${error.path} is missing`, { path: error.path!, cause: error });
    }
  }
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
    ['row', 'integer', 'text'].includes(meta.idKind) &&
    typeof meta.config?.defaults === 'object' &&
    file.header.sections.length === { row: 1, integer: 2, text: 3 }[meta.idKind];
  if (!sound) throw damaged(file.path, 'its header');
  return meta;
}

async function readFiles(files: readonly SavedFile[], kernels: KernelSource, options: OpenOptions): Promise<IndexData> {
  const [index, ...shardFiles] = files as [SavedFile, ...SavedFile[]];
  const { model, idKind, ...meta } = checkMeta(index);
  const reading = { verify: options.verifyChecksums!, signal: options.signal };
  const readMemory = async (file: SavedFile): Promise<WebAssembly.Memory> => {
    const length = file.header.sections[0]?.length;
    if (length === undefined) throw damaged(file.path, 'its header');
    const memory = createMemory(length);
    await file.read(0, memorySection(kernels, memory, RESERVED_BYTES, RESERVED_BYTES + length), reading);
    new Int32Array(memory.buffer)[TOP_WORD] = (RESERVED_BYTES + length) | 0;
    return memory;
  };
  const control = await readMemory(index);
  const modelEnd = new Uint32Array(control.buffer)[TOP_WORD]!;
  const parts: Uint8Array[] = [];
  for (let i = 1; i < index.header.sections.length; i++) {
    const part = new Uint8Array(new SharedArrayBuffer(index.header.sections[i]!.length));
    await index.read(i, plainSection(part), reading);
    parts.push(part);
  }
  const entries = idKind === 'text' ? meta.size + 1 : meta.size;
  if (parts.length > 0 && parts[0]!.length !== entries * 8) throw damaged(index.path, 'the size of its ids');
  const shards: WebAssembly.Memory[] = [];
  for (const [s, file] of shardFiles.entries()) {
    const memory = await readMemory(file);
    const header = new Uint32Array(memory.buffer, RESERVED_BYTES, 16);
    const end = new Uint32Array(memory.buffer)[TOP_WORD];
    const sound = file.header.meta.shard === s && header[SHARD_COUNT >>> 2] === meta.shardSizes[s];
    if (!sound || header[SHARD_STRIDE >>> 2] !== meta.stride || header[SHARD_DATA_END >>> 2] !== end) {
      throw damaged(file.path, 'its shard header');
    }
    shards.push(memory);
  }
  return { ...meta, model, control, modelEnd, shards, ids: openIdColumn(idKind, meta.size, parts) };
}
