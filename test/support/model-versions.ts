import { cpSync, existsSync, mkdtempSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { BruteForce, Embedding, ScaNN, StringLookup, Tower } from '../../src/recommender/index.ts';
import { Random } from './random.ts';

export const USERS = ['42', '7', 'zoë', 'a b'];

export interface VersionShape {
  readonly size: number;
  readonly dimensions: number;
  /** Of a ScaNN layer; without, all candidates are scored. */
  readonly numLeaves?: number;
}

const SMALL: VersionShape = { size: 300, dimensions: 8 };

/** Saves a layer for `USERS` whose identifiers say the version: 'v3/film 17'. Each version has candidates and users of its own. */
export async function saveVersion(directory: string, version: number, shape: VersionShape = SMALL): Promise<void> {
  const { size, dimensions, numLeaves } = shape;
  const random = new Random(version);
  const embedding = new Embedding(USERS.length + 1, dimensions);
  embedding.setWeights(random.normals(USERS.length + 1, dimensions));
  const queryModel = new Tower([new StringLookup({ vocabulary: USERS }), embedding]);
  const titles = Array.from({ length: size }, (_, i) => `v${version}/film ${i}`);
  const common = { queryModel, k: 5, threads: 1 };
  await using layer =
    numLeaves === undefined
      ? new BruteForce(common)
      : new ScaNN({ ...common, numLeaves, numReorderingCandidates: 50, shards: 1 });
  await layer.index(random.normals(size, dimensions), titles);
  await layer.save(directory);
}

/**
 * Publishes a version as one should: it is there at once, or not at all.
 *
 * @param stock a folder of the same disk, where what was made is kept, by its number
 * @param made which of them to publish
 */
export async function publish(stock: string, model: string, version: number, made = version): Promise<void> {
  const kept = join(stock, String(made));
  if (!existsSync(kept)) await saveVersion(kept, made);
  const staged = mkdtempSync(join(stock, 'staged-'));
  cpSync(kept, staged, { recursive: true });
  renameSync(staged, join(model, String(version)));
}

/** What came of asking while versions were swapped. */
export interface LoadReport {
  readonly answers: number;
  readonly failures: readonly unknown[];
  /** Answers with identifiers of more than one version, or fewer than asked for. */
  readonly mixed: readonly (readonly string[])[];
  /** Versions that answered, in the order in which they first did. */
  readonly versions: readonly string[];
  /** Of each answer: when it came, and how long it took, in milliseconds. */
  readonly times: readonly { readonly at: number; readonly took: number }[];
}

/**
 * Asks from several clients, each one call after another, while `work` runs.
 *
 * @param ask the identifiers that a user is answered with
 */
export async function askWhile(
  work: () => Promise<unknown>,
  ask: (user: string) => Promise<readonly string[]>,
  { clients, k }: { clients: number; k: number },
): Promise<LoadReport> {
  const failures: unknown[] = [];
  const mixed: (readonly string[])[] = [];
  const versions = new Set<string>();
  const times: { at: number; took: number }[] = [];
  let running = true;
  const client = async (first: number): Promise<void> => {
    for (let i = first; running; i++) {
      const at = performance.now();
      try {
        const found = await ask(USERS[i % USERS.length]!);
        times.push({ at, took: performance.now() - at });
        const from = new Set(found.map((title) => title.slice(0, title.indexOf('/'))));
        if (from.size !== 1 || found.length !== k) mixed.push(found);
        for (const version of from) versions.add(version);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const asking = Array.from({ length: clients }, (_, i) => client(i));
  try {
    await work();
  } finally {
    running = false;
    await Promise.all(asking);
  }
  return { answers: times.length, failures, mixed, versions: [...versions], times };
}
