import { join } from 'node:path';
import { text } from '../protocol/check.ts';
import { RESERVED_BYTES } from '../protocol/shard-layout.ts';
import { bindKernels, type KernelSource } from '../shard/kernels/load.ts';
import type { IndexData } from './build.ts';
import type { Companion } from './companion.ts';
import { plainSection, type Section, writeFile } from './files.ts';
import { replaceCurrent } from './generations.ts';
import type { DirectoryLock } from './lock.ts';

export const INDEX_FILE = 'index.scannery';
export const INDEX_KIND = 'index';
export const SHARD_KIND = 'shard';

export const shardFile = (shard: number): string => `shard-${String(shard).padStart(4, '0')}.scannery`;

/** Bytes [start, end) of a kernel memory, hashed by a kernel. */
export function memorySection(kernels: KernelSource, memory: WebAssembly.Memory, start: number, end: number): Section {
  const bound = bindKernels(kernels, memory);
  const bytes = new Uint8Array(memory.buffer, start, end - start);
  return { bytes, hash: (at, length) => bound.xxh32(start + at, length, 0) >>> 0 };
}

/** What goes with the saving of an index. */
export interface SaveWith {
  readonly companion?: Companion | undefined;
  /** Writes more into the folder. */
  readonly extra?: (folder: string) => Promise<void>;
  /** Of the writer that has the directory. */
  readonly lock?: DirectoryLock;
}

/**
 * Writes an index, and a companion if there is one, as a new generation of a directory. Indexes that were built alike give equal
 * files, byte for byte, as long as nothing was added: that lies where the workers' scratch left room. Returns the generation.
 */
export async function saveIndex(
  directory: unknown,
  data: IndexData,
  kernels: KernelSource,
  { companion, extra, lock }: SaveWith = {},
): Promise<number> {
  const { dimensions, stride, metric, config, request, numLeaves, subspaces, model, rows, numShards, built } = data;
  const { count: size, sizes: shardSizes, deleted } = rows;
  const deletedBytes = new Uint8Array(deleted.buffer, deleted.byteOffset, deleted.byteLength);
  const ids = await data.ids.packed(size);
  const attributes = await data.attributes.schema.packed();
  const write = async (folder: string): Promise<void> => {
    await writeFile(
      join(folder, INDEX_FILE),
      INDEX_KIND,
      {
        ...{
          size,
          dimensions,
          stride,
          metric,
          config,
          request,
          built,
          numLeaves,
          subspaces,
          model,
          idKind: ids.kind,
          shardSizes,
          numShards,
        },
      },
      [
        memorySection(kernels, data.control, RESERVED_BYTES, data.modelEnd),
        ...[...ids.parts(), deletedBytes, attributes].map(plainSection),
      ],
    );
    for (const [s, memory] of data.shards.entries()) {
      const { spans } = rows.memories[s]!;
      const sections = spans.map(([start, end]) => memorySection(kernels, memory, start, end));
      await writeFile(join(folder, shardFile(s)), SHARD_KIND, { shard: s, size: shardSizes[s]!, spans }, sections);
    }
    if (companion !== undefined) await writeCompanion(folder, companion);
    await extra?.(folder);
  };
  return replaceCurrent(text(directory, 'directory'), write, lock);
}

/** Writes a file that has no index beside it as a new generation of a directory. */
export async function saveCompanion(directory: unknown, companion: Companion): Promise<void> {
  await replaceCurrent(text(directory, 'directory'), (folder) => writeCompanion(folder, companion));
}

async function writeCompanion(folder: string, { name, kind, meta, parts }: Companion): Promise<void> {
  await writeFile(join(folder, name), kind, meta, parts.map(plainSection));
}
