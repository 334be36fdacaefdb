import { ScanneryError } from '../../protocol/errors.ts';
import type { ModelEvent, ModelStoreOptions, ResolvedModel } from './options.ts';
import { type Lease, ServedVersion } from './served-version.ts';
import type { VersionState } from './status.ts';
import { filesPrint, versionFolders } from './version-folders.ts';

/** What is known of one version. */
interface Version extends VersionState {
  served: ServedVersion | null;
  /** Of its files when they were loaded. */
  print: string;
}

/** What a model needs of the store that it is in. */
export interface Surroundings {
  readonly options: Readonly<ModelStoreOptions>;
  /** Runs one load at a time, over all models. */
  readonly inTurn: <T>(load: () => Promise<T>) => Promise<T>;
}

/** One model: looks at its directory, loads what is new there, and lets go of what that replaces. */
export class ServedModel {
  readonly name: string;
  readonly #options: ResolvedModel;
  readonly #store: Surroundings;
  readonly #versions = new Map<number, Version>();
  readonly #closed = new AbortController();
  #looking: Promise<unknown> = Promise.resolve();
  readonly #draining = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  /** Why the directory could not be read when it was last looked at. */
  #unreadable: unknown;

  constructor(name: string, options: ResolvedModel, store: Surroundings) {
    this.name = name;
    this.#options = options;
    this.#store = store;
  }

  /** What is known of each version, the highest first. */
  get versions(): VersionState[] {
    return [...this.#versions.values()].sort((a, b) => b.version - a.version);
  }

  /** The highest version that can be asked. */
  get available(): number | undefined {
    return this.#available().sort((a, b) => b - a)[0];
  }

  /** The version that is asked for, or the highest that can be. */
  lease(asked: number | undefined): Lease | undefined {
    const version = asked ?? this.available;
    if (version === undefined) return undefined;
    return this.#versions.get(version)?.served?.lease(this.name, version);
  }

  /** Looks at the directory, and again once `pollMs` have passed. */
  async start(): Promise<void> {
    await this.refresh();
    this.#lookLater();
  }

  /** Looks at the directory now, and resolves when everything new there is served or refused. */
  refresh(): Promise<void> {
    const looked = this.#looking.then(() => this.#look());
    this.#looking = looked.catch(() => {});
    return looked;
  }

  /** Ends what is being loaded, waits for all leases, and closes all versions. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#closed.abort();
    await this.#looking;
    for (const version of this.#available()) this.#retire(version);
    await Promise.all(this.#draining);
  }

  #lookLater(): void {
    const { pollMs } = this.#options;
    if (pollMs === false || this.#closed.signal.aborted) return;
    this.#timer = setTimeout(async () => {
      try {
        await this.refresh();
        this.#unreadable = undefined;
      } catch (error) {
        // Told once, and not every time it is looked at.
        if (this.#unreadable === undefined) this.#tell({ type: 'unreadable', model: this.name, error });
        this.#unreadable = error;
      }
      this.#lookLater();
    }, pollMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const folders = await versionFolders(this.#options.directory);
    await this.#forget(folders);
    // While an old version drains, a new one beside it and the one in service would be three: the end of draining looks again.
    while (this.#draining.size === 0 && !this.#closed.signal.aborted) {
      const next = this.#wanted(folders).find((version) => !this.#versions.get(version)?.served);
      if (next === undefined) break;
      await this.#load(next, folders.get(next)!);
      this.#replace(this.#wanted(folders));
    }
    this.#replace(this.#wanted(folders));
  }

  /** Forgets versions that have ended and are gone, and refusals of files that have changed since. */
  async #forget(folders: ReadonlyMap<number, string>): Promise<void> {
    for (const { version, state, error, print } of [...this.#versions.values()]) {
      const path = folders.get(version);
      if (state !== 'END') continue;
      if (path === undefined || (error !== undefined && (await filesPrint(path)) !== print)) {
        this.#versions.delete(version);
      }
    }
  }

  /** The versions that should be served, the highest first, refused ones passed over. */
  #wanted(folders: ReadonlyMap<number, string>): number[] {
    const { versions } = this.#options;
    const sound = [...folders.keys()].filter((version) => this.#versions.get(version)?.error === undefined);
    const ordered = sound.sort((a, b) => b - a);
    if (versions === 'latest') return ordered.slice(0, 1);
    if ('latest' in versions) return ordered.slice(0, versions.latest);
    return ordered.filter((version) => versions.includes(version));
  }

  async #load(version: number, path: string): Promise<void> {
    const entry: Version = { version, state: 'START', served: null, print: '', error: undefined };
    this.#versions.set(version, entry);
    const { signal } = this.#closed;
    await this.#store.inTurn(async () => {
      const started = performance.now();
      try {
        signal.throwIfAborted();
        entry.state = 'LOADING';
        entry.print = await filesPrint(path);
        entry.served = await ServedVersion.load(path, version, this.#options, this.#store.options, signal);
        entry.state = 'AVAILABLE';
        const milliseconds = performance.now() - started;
        this.#tell({ type: 'available', model: this.name, version, milliseconds });
      } catch (error) {
        entry.state = 'END';
        entry.error = error;
        if (!signal.aborted) this.#tell({ type: 'refused', model: this.name, version, error });
      }
    });
  }

  /** Retires versions that are not wanted, the lowest first, as far as wanted ones have taken their place. */
  #replace(wanted: readonly number[]): void {
    if (wanted.length === 0) return;
    const unwanted = this.#available().filter((version) => !wanted.includes(version));
    const tooMany = Math.max(0, this.#available().length - wanted.length);
    for (const version of unwanted.sort((a, b) => a - b).slice(0, tooMany)) this.#retire(version);
  }

  #retire(version: number): void {
    const entry = this.#versions.get(version)!;
    const { served } = entry;
    entry.served = null;
    entry.state = 'UNLOADING';
    const ended = (error?: unknown): void => {
      entry.state = 'END';
      this.#draining.delete(draining);
      this.#tell({ type: 'unloaded', model: this.name, version, ...(error === undefined ? {} : { error }) });
      // What could not be loaded meanwhile can be now. If the directory cannot be read, the next look says so.
      if (!this.#closed.signal.aborted) this.refresh().catch(() => {});
    };
    const draining: Promise<void> = served!.retire().then(() => ended(), ended);
    this.#draining.add(draining);
  }

  #available(): number[] {
    return [...this.#versions.values()].filter(({ served }) => served !== null).map(({ version }) => version);
  }

  #tell(event: ModelEvent): void {
    const { onEvent } = this.#store.options;
    // Afterwards, so that an error of the listener's is its own.
    if (onEvent !== undefined) queueMicrotask(() => onEvent(event));
  }
}

/** @param asked undefined: the latest */
export function notServed(name: string, asked: number | undefined): ScanneryError {
  const request = asked === undefined ? `Latest(${name})` : `Specific(${name}, ${asked})`;
  const message = `Servable not found for request: ${request}`;
  return new ScanneryError('SCANNERY_NOT_FOUND', message, { option: 'model', value: name });
}
