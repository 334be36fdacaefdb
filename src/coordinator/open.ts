import { join } from 'node:path';
import { text } from '../protocol/check.ts';
import { damaged } from '../protocol/file-format.ts';
import type { ReadOptions } from '../protocol/live-options.ts';
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
import { AttributeSchema } from './attribute-schema.ts';
import type { IndexData } from './build.ts';
import type { Companion, CompanionName } from './companion.ts';
import { soarLambdaOf } from './configure.ts';
import { plainSection, SavedFile } from './files.ts';
import { GrowingIds } from './growing-ids.ts';
import { openIdColumn } from './id-column.ts';
import { damagedLog, type LogReader, type LogScan } from './log-reader.ts';
import type { Span } from './memory-rows.ts';
import { checkMeta, type OpenFiles, openCurrent, openFiles } from './open-files.ts';
import { RowAttributes } from './row-attributes.ts';
import { Rows } from './rows.ts';
import { memorySection } from './save.ts';

/** An index as a directory has it: what was saved, and what was written since. */
export interface Opened {
  readonly data: IndexData;
  readonly generation: number;
  /** What was written since, not applied yet, or null. Whoever has it closes it. */
  readonly log: { readonly reader: LogReader; readonly scan: LogScan } | null;
}

/** Reads a saved index into shared memory. */
export async function openIndex(directory: unknown, kernels: KernelSource, options: ReadOptions): Promise<Opened> {
  return withFiles(directory, undefined, (files) => readFiles(files, kernels, options));
}

/** Reads a saved index into shared memory, and the companion that was saved with it. */
export async function openIndexAndCompanion(
  directory: unknown,
  kernels: KernelSource,
  options: ReadOptions,
  wanted: CompanionName,
): Promise<{ opened: Opened } & Pick<Companion, 'meta'> & { parts: Uint8Array[] }> {
  return withFiles(directory, wanted, async (files) => {
    const companion = files.files.at(-1)!;
    const parts = await readParts(companion, 0, options);
    const opened = await readFiles({ ...files, files: files.files.slice(0, -1) }, kernels, options);
    return { opened, meta: companion.header.meta, parts };
  });
}

/** The log stays open if all goes well. */
async function withFiles<T>(
  directory: unknown,
  wanted: CompanionName | undefined,
  read: (files: OpenFiles) => Promise<T>,
): Promise<T> {
  const open = await openFiles(text(directory, 'directory'), wanted);
  try {
    return await read(open);
  } catch (error) {
    await open.log?.close();
    throw error;
  } finally {
    await Promise.all(open.files.map((file) => file.close()));
  }
}

/** Reads a file that was saved without an index. */
export async function openCompanion(
  directory: unknown,
  { name, kind }: CompanionName,
  options: ReadOptions,
): Promise<Pick<Companion, 'meta'> & { parts: Uint8Array[] }> {
  const {
    files: [file],
    log,
  } = await openCurrent(text(directory, 'directory'), kind, async (folder, files) => {
    files.push(await SavedFile.open(join(folder, name), kind));
  });
  try {
    return { meta: file!.header.meta, parts: await readParts(file!, 0, options) };
  } finally {
    await file!.close();
    await log?.close();
  }
}

async function readFiles(
  { generation, files, log }: OpenFiles,
  kernels: KernelSource,
  options: ReadOptions,
): Promise<Opened> {
  const [index, ...shardFiles] = files as [SavedFile, ...SavedFile[]];
  const scan = await log?.scan();
  if (scan?.isDamaged) throw damagedLog(log!.path, scan);
  const { size, shardSizes, model, idKind, ...meta } = checkMeta(index);
  if (log !== null && log.dimensions !== meta.dimensions) throw damaged(log.path, 'the dimensions of its header');
  const modelEnd = RESERVED_BYTES + index.header.sections[0]!.length;
  const control = await readMemory(index, [[RESERVED_BYTES, modelEnd]], kernels, options);
  const parts = await readParts(index, 1, options);
  const schema = await AttributeSchema.unpack(parts.pop()!, index.path);
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
  const data = {
    ...meta,
    lanesPerVector,
    model,
    control,
    modelEnd,
    shards,
    ids,
    rows,
    attributes: new RowAttributes(rows, schema),
  };
  return { data, generation, log: log === null ? null : { reader: log, scan: scan! } };
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
  options: ReadOptions,
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
async function readParts(file: SavedFile, from: number, options: ReadOptions): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for (let i = from; i < file.header.sections.length; i++) {
    const part = new Uint8Array(new SharedArrayBuffer(file.header.sections[i]!.length));
    await file.read(i, plainSection(part), readingOf(options));
    parts.push(part);
  }
  return parts;
}

const readingOf = (options: ReadOptions) => ({ verify: options.verifyChecksums!, signal: options.signal });
