import { availableParallelism } from 'node:os';
import { ScanneryError } from '../../protocol/errors.ts';
import { type BruteForce, load, type QueryModel, type ScaNN, Tower } from '../../recommender/index.ts';
import type { ModelStoreOptions, ResolvedModel } from './options.ts';
import { type Signature, signatureOf } from './signature.ts';

/** Queries per worker thread that a version answers before it is asked by anybody else. */
const WARM_UP_QUERIES = 4;

/** The right to use one version, which stays open until `release`. */
export interface Lease extends Disposable {
  readonly model: string;
  readonly version: number;
  readonly layer: BruteForce | ScaNN;
  /** What the version takes and gives. */
  readonly signature: Signature;
  /** Ends the lease; a second call does nothing. */
  release(): void;
}

/** A version that can be asked: it closes once it is retired and its last lease has ended. */
export class ServedVersion {
  readonly signature: Signature;
  readonly #layer: BruteForce | ScaNN;
  readonly #queryModel: QueryModel | undefined;
  #leases = 0;
  #drained = (): void => {};
  #retired: Promise<void> | null = null;

  private constructor(layer: BruteForce | ScaNN, signature: Signature, queryModel: QueryModel | undefined) {
    this.#layer = layer;
    this.signature = signature;
    this.#queryModel = queryModel;
  }

  /** Loads a version and lets it answer some queries. @throws what `load` and the query model do */
  static async load(
    path: string,
    version: number,
    model: ResolvedModel,
    { threads, threadPriority, verifyChecksums }: Readonly<ModelStoreOptions>,
    signal: AbortSignal,
  ): Promise<ServedVersion> {
    const queryModel = await model.queryModel?.(path, version);
    let layer: BruteForce | ScaNN | undefined;
    try {
      layer = await load(path, { threads, threadPriority, verifyChecksums, queryModel, signal });
      const identifier = await warmUp(layer, threads ?? availableParallelism(), signal);
      return new ServedVersion(layer, signatureOf(layer, identifier), queryModel);
    } catch (error) {
      await layer?.close();
      await closeModel(queryModel);
      throw error;
    }
  }

  lease(model: string, version: number): Lease {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#leases--;
      if (this.#leases === 0) this.#drained();
    };
    this.#leases++;
    return { model, version, layer: this.#layer, signature: this.signature, release, [Symbol.dispose]: release };
  }

  /** Waits for the leases there are, then closes; nobody may lease it any more. */
  retire(): Promise<void> {
    this.#retired ??= this.#closeWhenDrained();
    return this.#retired;
  }

  async #closeWhenDrained(): Promise<void> {
    if (this.#leases > 0) {
      await new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
    }
    await this.#layer.close();
    await closeModel(this.#queryModel);
  }
}

async function closeModel(queryModel: unknown): Promise<void> {
  const { close } = (queryModel ?? {}) as { close?: unknown };
  if (typeof close === 'function') await close.call(queryModel);
}

/**
 * Asks a layer some made-up queries, several per worker thread, so that no caller pays for code that is compiled and memory that
 * is touched for the first time. Their number depends on the threads alone. Returns an identifier that was found.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_VECTOR when the query tower's embeddings are not of the index's dimensions
 */
async function warmUp(layer: BruteForce | ScaNN, threads: number, signal: AbortSignal): Promise<unknown> {
  const { queryModel, dimensions } = layer;
  if (queryModel instanceof Tower) {
    // Values that every tower takes: a string that may be unknown, and the first row of a table.
    const columns = queryModel.features.map(({ name, lookup }) => [name, [lookup === null ? 0 : '']] as const);
    const [name, column] = columns[0]!;
    await queryModel.embed(name === null ? column : Object.fromEntries(columns));
    if (dimensions !== 0 && queryModel.dimensions !== dimensions) {
      const message = `the query tower gives embeddings of ${queryModel.dimensions} numbers, candidates have ${dimensions}`;
      throw new ScanneryError('SCANNERY_INVALID_VECTOR', message, { value: queryModel.dimensions });
    }
  }
  if (dimensions === 0) return undefined;
  const asked = Array.from({ length: WARM_UP_QUERIES * threads }, (_, query) => {
    const embedding = Float32Array.from({ length: dimensions }, (_, i) => Math.sin(1 + query + i));
    return layer.searchEmbeddings(embedding, { signal });
  });
  const answers = await Promise.all(asked);
  return answers[0]![1][0]![0];
}
