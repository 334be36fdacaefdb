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

/** What the loss of power leaves: of names and of data, what was synced or more of what was written. */
export interface Loss {
  readonly names: 'synced' | 'synced and the last change' | 'cached';
  readonly data: 'synced' | 'cached' | 'torn' | 'torn at its start';
}

export const LOSSES: readonly Loss[] = (['synced', 'synced and the last change', 'cached'] as const).flatMap((names) =>
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
  /** What the last operation on names did. */
  #lastNames: { directory: Directory; name: string; node: Node | undefined }[] = [];
  #lastWrite: { file: File; position: number; bytes: Uint8Array } | null = null;

  /** A disk on which a directory is as it is now, all of it safe. */
  constructor(base: string) {
    this.#base = base;
    this.#root = loadDirectory(base);
  }

  /** Does to the disk what an operation does that succeeds. */
  do({ kind, path, file: number, to, bytes, position, length }: FileOperation): void {
    this.#lastWrite = null;
    if (['mkdir', 'rename', 'rm', 'copyFile', 'writeFile'].includes(kind)) this.#lastNames = [];
    switch (kind) {
      case 'open':
        if (this.#find(path) === undefined) {
          this.#lastNames = [];
          this.#name(path, emptyFile());
        }
        this.#open.set(number!, this.#find(path) as File);
        return;
      case 'mkdir':
        if (this.#find(path) === undefined) this.#name(path, { cached: new Map(), synced: new Map() });
        return;
      case 'rename': {
        const node = this.#find(path)!;
        this.#name(path, undefined);
        this.#name(to!, node);
        return;
      }
      case 'rm':
        this.#name(path, undefined);
        return;
      case 'copyFile':
      case 'writeFile': {
        const file = emptyFile();
        this.#name(to ?? path, file);
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
      for (const [name, node] of this.#namesOf(directory, names)) {
        const own = join(path, name);
        image.set(own, isDirectory(node) ? null : this.#dataOf(node, data));
        if (isDirectory(node)) visit(node, own);
      }
    };
    visit(this.#root, '');
    return image;
  }

  #namesOf(directory: Directory, names: Loss['names']): Map<string, Node> {
    if (names !== 'synced and the last change') return directory[names];
    const entries = new Map(directory.synced);
    for (const change of this.#lastNames) {
      if (change.directory !== directory) continue;
      if (change.node === undefined) entries.delete(change.name);
      else entries.set(change.name, change.node);
    }
    return entries;
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

  /** Gives a name, or takes it away. */
  #name(path: string, node: Node | undefined): void {
    const directory = this.#find(dirname(path)) as Directory | undefined;
    if (directory === undefined) return;
    const name = nameIn(path);
    if (node === undefined) directory.cached.delete(name);
    else directory.cached.set(name, node);
    this.#lastNames.push({ directory, name, node });
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
