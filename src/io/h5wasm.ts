import { invalid } from '../protocol/check.ts';
import { ScanneryError } from '../protocol/errors.ts';

const PACKAGE = 'h5wasm';

/** What is used of h5wasm. Its build for Node reads files of the disk, as it needs them. */
interface Runtime {
  readonly ready: Promise<Module>;
  readonly File: new (path: string, mode: 'r') => H5File;
}

interface Module {
  activate_throwing_error_handler(): unknown;
  deactivate_throwing_error_handler(): unknown;
}

/** A group of h5wasm. */
export interface H5Group {
  keys(): string[];
  /** An object by its name in the group, which must be there. */
  get(name: string): unknown;
}

interface H5File extends H5Group {
  readonly attrs: Readonly<Record<string, { readonly value: unknown } | undefined>>;
  close(): unknown;
}

/** A dataset of h5wasm. */
export interface H5Dataset {
  readonly metadata: {
    /** 0: integers, 1: floats. */
    readonly type: number;
    /** Bytes of a number. */
    readonly size: number;
    readonly signed: boolean;
    readonly shape: readonly number[] | null;
  };
  slice(ranges: readonly (readonly number[])[]): unknown;
}

/** The HDF5 library, ready for use. */
export interface Hdf5Library {
  /** Opens a file for reading, which is to be closed. */
  open(path: string): H5File;
  /**
   * Does something with the library, whose errors are thrown rather than printed meanwhile. For each error that is thrown, the
   * library leaves a temporary file open, so what can be foreseen is asked about beforehand.
   *
   * @throws {ScanneryError} SCANNERY_INVALID_DATA, naming the file, with the library's error as cause
   */
  use<T>(path: string, work: () => T): T;
}

/**
 * Loads the optional package h5wasm, or takes it as it is given.
 *
 * @throws {ScanneryError} SCANNERY_MISSING_PACKAGE without h5wasm; SCANNERY_INVALID_OPTION if `given` is something else
 */
export async function hdf5Library(given: unknown): Promise<Hdf5Library> {
  const runtime = given === undefined ? await importRuntime() : runtimeIn(given);
  if (runtime === undefined) throw invalid('runtime', given, `the module ${PACKAGE}/node`);
  const module = await runtime.ready;
  return {
    open: (path) => new runtime.File(path, 'r'),
    use(path, work) {
      module.activate_throwing_error_handler();
      try {
        return work();
      } catch (cause) {
        if (cause instanceof ScanneryError) throw cause;
        const message = `${path} is damaged, or no HDF5 file that ${PACKAGE} reads: ${reasonOf(cause)}`;
        throw new ScanneryError('SCANNERY_INVALID_DATA', message, { path, cause });
      } finally {
        module.deactivate_throwing_error_handler();
      }
    },
  };
}

export function isGroup(value: unknown): value is H5Group {
  const { keys, get } = (value ?? {}) as Partial<H5Group>;
  return typeof keys === 'function' && typeof get === 'function';
}

export function isDataset(value: unknown): value is H5Dataset {
  const { metadata, slice } = (value ?? {}) as Partial<H5Dataset>;
  return typeof metadata === 'object' && typeof slice === 'function';
}

async function importRuntime(): Promise<Runtime> {
  let module: unknown;
  try {
    // As a mere string, so that the compiler does not look for it.
    module = await import('h5wasm/node' as string);
  } catch (cause) {
    const message = `an HDF5 file needs the package ${PACKAGE} (npm install ${PACKAGE}), which cannot be loaded`;
    throw new ScanneryError('SCANNERY_MISSING_PACKAGE', `${message}: ${messageOf(cause)}`, { cause });
  }
  const runtime = runtimeIn(module);
  if (runtime !== undefined) return runtime;
  throw new ScanneryError('SCANNERY_MISSING_PACKAGE', `${PACKAGE} is not what it should be; npm install ${PACKAGE}`);
}

/** The runtime that a module is, or has as its default. */
function runtimeIn(module: unknown): Runtime | undefined {
  const { default: inner } = (module ?? {}) as { default?: unknown };
  return [module, inner].find((each): each is Runtime => {
    const { File, ready } = (each ?? {}) as Partial<Runtime>;
    return typeof File === 'function' && typeof ready?.then === 'function';
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The innermost reason of the library, which tells its whole stack of calls; it is the last line `#…: file line … in f(): reason`. */
function reasonOf(error: unknown): string {
  const calls = [...messageOf(error).matchAll(/^\s*#\d+: \S+ line \d+ in \w+\(\): (.*)$/gm)];
  return calls.at(-1)?.[1] ?? messageOf(error).trim().split('\n')[0]!;
}
