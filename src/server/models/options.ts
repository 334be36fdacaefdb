import {
  boolean,
  callback,
  integer,
  invalid,
  type OptionTable,
  optional,
  resolveOptions,
  text,
} from '../../protocol/check.ts';
import type { QueryModel } from '../../recommender/index.ts';

/** Which versions of a model are served: the n highest, or those that are named. */
export type VersionPolicy = 'latest' | { readonly latest: number } | readonly number[];

export interface ModelOptions {
  /** Holds a folder per version, named by its number, each a saved layer; or is a saved layer itself, which is then version 1. */
  directory: string;
  /** Which versions are served, as long as they are there. Default 'latest': the highest. */
  versions?: VersionPolicy | undefined;
  /** Milliseconds between two looks at the directory, at least 10; false: only `refresh` looks. Default 1,000. */
  pollMs?: number | false | undefined;
  /**
   * Makes the query model of a version, for layers that were saved with one that is no `Tower`. It belongs to the store, which
   * closes it after the version if it has a method `close`. Default: the layer's own, if it has one.
   */
  queryModel?: ((directory: string, version: number) => QueryModel | Promise<QueryModel>) | undefined;
}

/** What happened to a model. `error` says why. */
export type ModelEvent =
  | { readonly type: 'available'; readonly model: string; readonly version: number; readonly milliseconds: number }
  | { readonly type: 'refused'; readonly model: string; readonly version: number; readonly error: unknown }
  | { readonly type: 'unloaded'; readonly model: string; readonly version: number; readonly error?: unknown }
  | { readonly type: 'unreadable'; readonly model: string; readonly error: unknown };

export interface ModelStoreOptions {
  /** Worker threads of each version, 1 to 64. Default: os.availableParallelism(). */
  threads?: number | undefined;
  /** How far they give way to others, 0 to 19, as in BuildOptions. Default 0. */
  threadPriority?: number | undefined;
  /** Compare all data with its checksums when a version is loaded. Default true. */
  verifyChecksums?: boolean | undefined;
  /** Told what happens, after it has happened. */
  onEvent?: ((event: ModelEvent) => void) | undefined;
}

const versions = (value: unknown, option: string): VersionPolicy => {
  if (value === 'latest') return value;
  if (Array.isArray(value) && value.length > 0) return value.map((each, i) => integer(0)(each, `${option}[${i}]`));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(option, value, "'latest', { latest: n } or a list of versions");
  }
  return resolveOptions<{ latest: number }>({ latest: { default: 1, check: integer(1) } }, value, option);
};

const MODEL: OptionTable<ModelOptions> = {
  directory: { default: undefined as never, check: text },
  versions: { default: 'latest', check: versions },
  pollMs: {
    default: 1000,
    check: (value, option) => (value === false ? value : integer(10, 2 ** 31 - 1)(value, option)),
  },
  queryModel: { default: undefined, check: optional(callback<NonNullable<ModelOptions['queryModel']>>) },
};

const STORE: OptionTable<ModelStoreOptions> = {
  threads: { default: undefined, check: optional(integer(1, 64)) },
  threadPriority: { default: 0, check: integer(0, 19) },
  verifyChecksums: { default: true, check: boolean },
  onEvent: { default: undefined, check: optional(callback<NonNullable<ModelStoreOptions['onEvent']>>) },
};

export type ResolvedModel = Readonly<ModelOptions> & {
  readonly versions: VersionPolicy;
  readonly pollMs: number | false;
};

/** @throws {ScanneryError} SCANNERY_INVALID_OPTION with the name of the model in the option */
export function resolveModel(name: string, given: string | ModelOptions): ResolvedModel {
  const where = `models.${name}`;
  // Routes tell a name from what follows it by these; no other character means anything in them.
  if (!/^[^/:]{1,100}$/u.test(name)) throw invalid('models', name, "named by 1 to 100 characters without '/' and ':'");
  const resolved = resolveOptions(MODEL, typeof given === 'string' ? { directory: given } : given, where);
  text(resolved.directory, `${where}.directory`);
  return resolved as ResolvedModel;
}

export const resolveStoreOptions = (given: unknown): Readonly<ModelStoreOptions> => resolveOptions(STORE, given);
