import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import type { FileOperation } from './faults.ts';

/** A file: what programs read, and what is on the disk for certain. */
interface File {
  cached: Buffer;
  synced: Buffer;
}

/** A directory, likewise. */
interface Directory {
  cached: Map<string, Node>;
  synced: Map<string, Node>;
}

type Node = File | Directory;

/** What the loss of power leaves: of names and of data, what was synced or all that was written. */
export interface Loss {
  readonly names: 'synced' | 'cached';
  readonly data: 'synced' | 'cached' | 'torn' | 'torn at its start';
}

export const LOSSES: readonly Loss[] = (['synced', 'cached'] as const).flatMap((names) =>
  (['synced', 'cached', 'torn', 'torn at its start'] as const).map((data) => ({ names, data })),
);

/** Files by their path; null for a directory. */
type Image = Map<string, Buffer | null>;

const isDirectory = (node: Node): node is Directory => node.cached instanceof Map;

/**
 * A model of a disk. A file's bytes are safe once it is synced, a name once the directory that has it is; a rename is whole or
 * not at all.
 */
export class Disk {
  readonly #base: string;
  readonly #root: Directory;
  /** Files that were opened for writing, whatever they are called by now. */
  readonly #open = new Map<number, File>();
  #lastWrite: { file: File; position: number; bytes: Uint8Array } | null = null;

  /** A disk on which a directory is as it is now, all of it safe. */
  constructor(base: string) {
    this.#base = base;
    this.#root = loadDirectory(base);
  }

  /** Does to the disk what an operation does that succeeds. */
  do({ kind, path, file: number, to, bytes, position, length }: FileOperation): void {
    this.#lastWrite = null;
    switch (kind) {
      case 'open':
        if (this.#find(path) === undefined) this.#put(path, emptyFile());
        this.#open.set(number!, this.#find(path) as File);
        return;
      case 'mkdir':
        if (this.#find(path) === undefined) this.#put(path, { cached: new Map(), synced: new Map() });
        return;
      case 'rename': {
        const node = this.#find(path)!;
        this.#remove(path);
        this.#put(to!, node);
        return;
      }
      case 'rm':
        this.#remove(path);
        return;
      case 'copyFile':
      case 'writeFile': {
        const file = emptyFile();
        this.#put(to ?? path, file);
        this.#write(file, 0, bytes!);
        return;
      }
      case 'write':
        this.#write(this.#open.get(number!)!, position!, bytes!);
        return;
      case 'truncate': {
        const file = this.#open.get(number!)!;
        file.cached = file.cached.subarray(0, length);
        return;
      }
      case 'sync':
      case 'datasync': {
        const node = number === undefined ? this.#find(path)! : this.#open.get(number)!;
        if (isDirectory(node)) node.synced = new Map(node.cached);
        else node.synced = node.cached;
      }
    }
  }

  /** What is there once the power is back. */
  after({ names, data }: Loss): Image {
    const image: Image = new Map();
    const visit = (directory: Directory, path: string): void => {
      for (const [name, node] of directory[names]) {
        const own = join(path, name);
        image.set(own, isDirectory(node) ? null : this.#dataOf(node, data));
        if (isDirectory(node)) visit(node, own);
      }
    };
    visit(this.#root, '');
    return image;
  }

  #dataOf(file: File, data: Loss['data']): Buffer {
    if (data === 'synced' || data === 'cached') return file[data];
    if (this.#lastWrite?.file !== file) return file.cached;
    const { position, bytes } = this.#lastWrite;
    const middle = position + (bytes.length >> 1);
    if (data === 'torn') return file.cached.subarray(0, middle);
    return Buffer.from(file.cached).fill(0, position, middle);
  }

  #write(file: File, position: number, bytes: Uint8Array): void {
    const cached = Buffer.alloc(Math.max(file.cached.length, position + bytes.length));
    cached.set(file.cached);
    cached.set(bytes, position);
    file.cached = cached;
    this.#lastWrite = { file, position, bytes };
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of relative(this.#base, path).split(sep).filter(Boolean)) {
      if (node === undefined || !isDirectory(node)) return undefined;
      node = node.cached.get(name);
    }
    return node;
  }

  #put(path: string, node: Node): void {
    (this.#find(dirname(path)) as Directory).cached.set(nameIn(path), node);
  }

  #remove(path: string): void {
    (this.#find(dirname(path)) as Directory | undefined)?.cached.delete(nameIn(path));
  }
}

const nameIn = (path: string): string => path.slice(dirname(path).length + 1);
const emptyFile = (): File => ({ cached: Buffer.alloc(0), synced: Buffer.alloc(0) });

function loadDirectory(path: string): Directory {
  const entries = new Map<string, Node>();
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const own = join(path, entry.name);
    const bytes = entry.isDirectory() ? undefined : readFileSync(own);
    entries.set(entry.name, bytes === undefined ? loadDirectory(own) : { cached: bytes, synced: bytes });
  }
  return { cached: entries, synced: new Map(entries) };
}

/** Equal for equal images. */
export function fingerprintOf(image: Image): string {
  const hash = createHash('sha256');
  for (const path of [...image.keys()].sort())
    hash.update(`${path}\0${image.get(path)?.length}\0`).update(image.get(path) ?? '');
  return hash.digest('hex');
}

/** Puts an image into a directory. */
export function materialise(image: Image, directory: string): void {
  mkdirSync(directory);
  // Directories come before what is in them.
  for (const [path, bytes] of image) {
    if (bytes === null) mkdirSync(join(directory, path));
    else writeFileSync(join(directory, path), bytes);
  }
}
