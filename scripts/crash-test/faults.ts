import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join, sep } from 'node:path';

/** A call that changes files, or waits until a change is on the disk. */
export interface FileOperation {
  readonly kind:
    | 'open'
    | 'mkdir'
    | 'rename'
    | 'rm'
    | 'writeFile'
    | 'copyFile'
    | 'write'
    | 'truncate'
    | 'sync'
    | 'datasync';
  /** Of an open file, the path by which it was opened. */
  readonly path: string;
  /** Tells files apart that were opened for writing. */
  readonly file?: number;
  /** Of a file that is copied or renamed. */
  readonly to?: string;
  /** What is written, by 'write' from `position` on. */
  readonly bytes?: Uint8Array;
  readonly position?: number;
  /** What a file is cut to. */
  readonly length?: number;
}

/** What happens in the place of an operation. */
export interface Fault {
  /** Whether the first half of it happens before. */
  readonly half: boolean;
  /** Ends the process, or gives the error that the operation fails with. */
  readonly strike: () => Error;
}

/** Whether an operation can happen by half: those that write bytes. */
export const hasHalf = ({ kind }: FileOperation): boolean => ['write', 'writeFile', 'copyFile'].includes(kind);

/** An error as the operating system gives it. */
export function systemError(code: string, { kind, path }: FileOperation): Error {
  return Object.assign(new Error(`${code}: injected, ${kind} '${path}'`), { code, syscall: kind, path });
}

type Patched = 'open' | 'mkdir' | 'rename' | 'rm' | 'writeFile' | 'copyFile';
type WriteBytes = (
  this: FileHandle,
  bytes: Uint8Array,
  start: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>;
type PatchedHandle = 'write' | 'writeFile' | 'truncate' | 'sync' | 'datasync';

/**
 * Shows every file operation below a directory to an observer before it happens, whichever module asks for it. Reading is not
 * shown, nor is closing. Returns what ends it.
 */
export async function intercept(
  directory: string,
  observe: (operation: FileOperation) => Fault | undefined,
): Promise<() => void> {
  const real = { ...fs };
  const opened = new WeakMap<FileHandle, { readonly path: string; readonly file?: number }>();
  let files = 0;
  const isBelow = (path: unknown): path is string =>
    typeof path === 'string' && (path === directory || path.startsWith(directory + sep));
  const run = async <T>(
    operation: FileOperation,
    whole: () => Promise<T>,
    half?: () => Promise<unknown>,
  ): Promise<T> => {
    const fault = observe(operation);
    if (fault === undefined) return whole();
    if (fault.half) await half?.();
    throw fault.strike();
  };

  const handlePrototype = await prototypeOfHandles(join(directory, '..'));
  const realHandle = pick(handlePrototype);
  const realWrite: WriteBytes = realHandle.write;
  const patchedHandle = {
    write(this: FileHandle, bytes: Uint8Array, start: number, length: number, position: number) {
      const which = opened.get(this);
      const whole = () => realWrite.call(this, bytes, start, length, position);
      if (which === undefined) return whole();
      const half = () => realWrite.call(this, bytes, start, length >> 1, position);
      return run({ kind: 'write', ...which, bytes: bytes.slice(start, start + length), position }, whole, half);
    },
    writeFile(this: FileHandle, text: string) {
      const which = opened.get(this);
      const whole = () => realHandle.writeFile.call(this, text);
      if (which === undefined) return whole();
      const bytes = Buffer.from(text);
      const half = () => realHandle.writeFile.call(this, bytes.subarray(0, bytes.length >> 1));
      return run({ kind: 'write', ...which, bytes, position: 0 }, whole, half);
    },
    truncate(this: FileHandle, length = 0) {
      const which = opened.get(this);
      const whole = () => realHandle.truncate.call(this, length);
      return which === undefined ? whole() : run({ kind: 'truncate', ...which, length }, whole);
    },
    sync(this: FileHandle) {
      const which = opened.get(this);
      const whole = () => realHandle.sync.call(this);
      return which === undefined ? whole() : run({ kind: 'sync', ...which }, whole);
    },
    datasync(this: FileHandle) {
      const which = opened.get(this);
      const whole = () => realHandle.datasync.call(this);
      return which === undefined ? whole() : run({ kind: 'datasync', ...which }, whole);
    },
  };
  const patched = {
    async open(path: string, flags: string, mode?: number) {
      const whole = () => real.open(path, flags, mode);
      if (!isBelow(path)) return whole();
      const which = flags === 'r' ? { path } : { path, file: files++ };
      const handle = flags === 'r' ? await whole() : await run({ kind: 'open', ...which }, whole);
      opened.set(handle, which);
      return handle;
    },
    async mkdir(path: string, options: object) {
      const whole = () => real.mkdir(path, options);
      return isBelow(path) ? run({ kind: 'mkdir', path }, whole) : whole();
    },
    async rename(path: string, to: string) {
      const whole = () => real.rename(path, to);
      return isBelow(path) ? run({ kind: 'rename', path, to }, whole) : whole();
    },
    async rm(path: string, options: object) {
      const whole = () => real.rm(path, options);
      return isBelow(path) ? run({ kind: 'rm', path }, whole) : whole();
    },
    async writeFile(path: string, text: string, options: object) {
      const whole = () => real.writeFile(path, text, options);
      if (!isBelow(path)) return whole();
      const bytes = Buffer.from(text);
      const half = () => real.writeFile(path, bytes.subarray(0, bytes.length >> 1), options);
      return run({ kind: 'writeFile', path, bytes }, whole, half);
    },
    async copyFile(path: string, to: string) {
      const whole = () => real.copyFile(path, to);
      if (!isBelow(path)) return whole();
      const bytes = await real.readFile(path);
      const half = () => real.writeFile(to, bytes.subarray(0, bytes.length >> 1));
      return run({ kind: 'copyFile', path, to, bytes }, whole, half);
    },
  } satisfies Record<Patched, unknown>;
  Object.assign(fs, patched);
  Object.assign(handlePrototype, patchedHandle);
  syncBuiltinESMExports();
  return () => {
    const { open, mkdir, rename, rm, writeFile, copyFile } = real;
    Object.assign(fs, { open, mkdir, rename, rm, writeFile, copyFile });
    Object.assign(handlePrototype, realHandle);
    syncBuiltinESMExports();
  };
}

function pick(handle: FileHandle): Pick<FileHandle, PatchedHandle> {
  const { write, writeFile, truncate, sync, datasync } = handle;
  return { write, writeFile, truncate, sync, datasync };
}

async function prototypeOfHandles(directory: string): Promise<FileHandle> {
  const handle = await fs.open(directory, 'r');
  await handle.close();
  return Object.getPrototypeOf(handle);
}
