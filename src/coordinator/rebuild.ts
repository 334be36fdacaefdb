import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RebalanceOptions } from '../protocol/live-options.ts';
import { resolveBuildOptions } from '../protocol/options.ts';
import type { CheckedAttributes } from './attribute-schema.ts';
import { chooseShards } from './configure.ts';
import { buildParts, type Parts } from './parts.ts';
import { vectorReader } from './stored-vectors.ts';
import { throwIfAborted } from './threads.ts';
import type { Id, IndexConfig } from './types.ts';

/** Bytes of vectors that are read between two turns of the event loop. */
const SLICE_BYTES = 1 << 19;
/** Threads that rebuild, beside those that serve, which come first. */
const REBUILDING_THREADS = 1;

/** An index built anew beside another that goes on being written to. */
export interface Rebuilt {
  readonly parts: Parts;
  /** Does here what was written there since the last time. */
  catchUp(): Promise<void>;
  /** The configuration with the search defaults of the other, which may have another number of leaves. */
  configWith(defaults: IndexConfig['defaults']): IndexConfig;
}

/** Builds an index as `before` was built, of the vectors that it has by now. */
export async function rebuild(before: Parts, { signal, onProgress }: Readonly<RebalanceOptions>): Promise<Rebuilt> {
  const { data, threads, maxInFlight } = before;
  const { rows, dimensions, metric, request } = data;
  let [seenRows, seenDeleted] = [rows.count, rows.deletedCount];
  const options = resolveBuildOptions({
    ...{ ...request, dimensions, metric, maxInFlight, signal, onProgress },
    ...{ threads: threads.count, threadPriority: threads.priority },
    shards: request.shards ?? chooseShards(rows.live, dimensions, threads.count, undefined),
  });
  const parts = await buildParts(liveVectors(before, 0, seenRows), options, REBUILDING_THREADS);
  const catchUp = async (): Promise<void> => {
    const [toRows, toDeleted] = [rows.count, rows.deletedCount];
    const gone = await before.contents.idsGone(seenDeleted, toDeleted);
    if (gone.length > 0) await parts.contents.delete(gone);
    for await (const chunk of liveVectors(before, seenRows, toRows)) {
      throwIfAborted(signal);
      const { vectors, ids, attributes } = chunk;
      await parts.contents.upsert({ ids, row: (i) => vectors[i]!, attributes });
    }
    [seenRows, seenDeleted] = [toRows, toDeleted];
  };
  const configWith = (defaults: IndexConfig['defaults']): IndexConfig => {
    const { config, numLeaves } = parts.data;
    // Without a tree before, there is nothing to keep the part of.
    const wanted =
      data.numLeaves > 1
        ? Math.round((defaults.numLeavesToSearch * numLeaves) / data.numLeaves)
        : config.defaults.numLeavesToSearch;
    return { ...config, defaults: { ...defaults, numLeavesToSearch: Math.max(1, Math.min(numLeaves, wanted)) } };
  };
  return { parts, catchUp, configWith };
}

interface LiveChunk {
  readonly vectors: Float32Array[];
  readonly ids: Id[];
  readonly attributes: CheckedAttributes[] | undefined;
}

/** Rows [from, to) that are not deleted by the time it is their turn, with their ids. */
async function* liveVectors({ data }: Parts, from: number, to: number): AsyncGenerator<LiveChunk> {
  const { rows, ids, dimensions, shards, attributes } = data;
  const readers = shards.map((memory) => vectorReader(memory, dimensions));
  const perSlice = Math.max(1, Math.floor(SLICE_BYTES / (dimensions * 4)));
  for (let first = from; first < to; first += perSlice) {
    const places = [];
    for (let row = first; row < Math.min(to, first + perSlice); row++) {
      const place = rows.locate(row);
      if (place !== undefined) places.push(place);
    }
    const flat = new Float32Array(places.length * dimensions);
    const vectors = places.map(({ memory, local }, i) => {
      const vector = flat.subarray(i * dimensions, (i + 1) * dimensions);
      readers[memory]!(local, vector);
      return vector;
    });
    const own = attributes.schema.size === 0 ? undefined : places.map((place) => attributes.read(place) ?? {});
    yield { vectors, ids: places.map(({ row }) => ids.at(row)), attributes: own };
    await nextTurn();
  }
}
