import { invalid } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { type ModelOptions, type ModelStoreOptions, resolveModel, resolveStoreOptions } from './options.ts';
import { notServed, ServedModel } from './served-model.ts';
import type { Lease } from './served-version.ts';
import { type ModelStatus, statusOf } from './status.ts';

/**
 * Saved layers, by name and version, each served from a directory that is looked at again and again: a new version is loaded
 * beside the one in service, answers some queries, and takes its place from one call to the next. The old one closes once the
 * calls that have it are done. A version that cannot be loaded is refused, and tried again when its files have changed.
 */
export class ModelStore {
  readonly #models: ReadonlyMap<string, ServedModel>;
  #loading: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;

  private constructor(models: Readonly<Record<string, string | ModelOptions>>, options: Readonly<ModelStoreOptions>) {
    const inTurn = <T>(load: () => Promise<T>): Promise<T> => {
      const turn = this.#loading.then(load);
      this.#loading = turn.catch(() => {});
      return turn;
    };
    const resolved = Object.entries(models).map(([name, given]) => [name, resolveModel(name, given)] as const);
    this.#models = new Map(resolved.map(([name, each]) => [name, new ServedModel(name, each, { options, inTurn })]));
  }

  /**
   * Loads the versions there are, and goes on looking for new ones. A model of which no version can be loaded is no failure:
   * `status` says why, and it is served as soon as there is one.
   *
   * @param models directories by name, or options; a name has 1 to 100 characters other than '/' and ':'
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION; SCANNERY_NOT_FOUND and SCANNERY_IO for a directory that cannot be read
   */
  static async open(
    models: Readonly<Record<string, string | ModelOptions>>,
    options: ModelStoreOptions = {},
  ): Promise<ModelStore> {
    if (typeof models !== 'object' || models === null || Object.keys(models).length === 0) {
      throw invalid('models', models, 'an object of directories by name, at least one');
    }
    const store = new ModelStore(models, resolveStoreOptions(options));
    try {
      await Promise.all([...store.#models.values()].map((model) => model.start()));
      return store;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /** Names of the models, in the order in which they were given. */
  get names(): string[] {
    return [...this.#models.keys()];
  }

  /**
   * Takes one version for a call, which is to use nothing else: a swap meanwhile leaves it open. Give it back by `release`.
   *
   * @param version default: the highest that is available
   * @throws {ScanneryError} SCANNERY_NOT_FOUND when there is no such model, or none of its versions, or not this one, is
   *   available; SCANNERY_CLOSED
   */
  acquire(name: string, version?: number): Lease {
    this.#assertOpen();
    const lease = this.#models.get(name)?.lease(version);
    if (lease === undefined) throw notServed(name, version);
    return lease;
  }

  /** The version of a model that answers, the highest that is available; undefined if none is. */
  versionOf(name: string): number | undefined {
    return this.#models.get(name)?.available;
  }

  /**
   * The states of a model's versions, in the shape of TensorFlow Serving. A version that was refused has the state END, and an error.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND when there is no such model, or it has none, or not this version
   */
  status(name: string, version?: number): ModelStatus {
    const all = this.#models.get(name)?.versions ?? [];
    const asked = version === undefined ? all : all.filter((each) => each.version === version);
    if (asked.length > 0) return statusOf(asked);
    const none = version === undefined ? 'any versions' : `version ${version}`;
    const details = { option: 'model', value: name };
    throw new ScanneryError('SCANNERY_NOT_FOUND', `Could not find ${none} of model ${name}`, details);
  }

  /**
   * Looks at all directories now, and resolves when everything new there is served or refused.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND and SCANNERY_IO for a directory that cannot be read, when the others are done;
   *   SCANNERY_CLOSED
   */
  async refresh(): Promise<void> {
    this.#assertOpen();
    const results = await Promise.allSettled([...this.#models.values()].map((model) => model.refresh()));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Stops looking and loading, waits for all leases, and closes all versions. Calls made afterwards fail with SCANNERY_CLOSED. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([...this.#models.values()].map((model) => model.close())).then(() => {});
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new ScanneryError('SCANNERY_CLOSED', 'the store is closed');
  }
}
