import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Index, type OpenOptions } from '../../src/index.ts';
import { Random } from '../../test/support/random.ts';
import { clustered } from '../../test/support/vectors.ts';
import { checkDirectory } from './check.ts';
import { reached, runChild } from './child.ts';
import { contentOf, type Rows } from './content.ts';
import { BUILDS, DIMENSIONS, nameOf, operationAt, SIZE } from './sequence.ts';
import type { WriterOrders } from './writer.ts';

/** Kills after which an index of another kind is made. */
const KILLS_PER_INDEX = 16;

export interface KillTotals {
  kills: number;
  /** Of these, while the index was being opened. */
  whileOpening: number;
  acknowledged: number;
  /** Operations that were neither, of which some were found. */
  inFlight: number;
  inFlightKept: number;
  readonly violations: string[];
}

/** Kills writers at random times, and compares what they leave with what they had been told. */
export async function killAtRandom(
  folder: string,
  { kills, seed, jobs }: { kills: number; seed: number; jobs: number },
  report: (totals: KillTotals) => void,
): Promise<KillTotals> {
  const totals: KillTotals = {
    ...{ kills: 0, whileOpening: 0, acknowledged: 0, inFlight: 0, inFlightKept: 0, violations: [] },
  };
  let begun = 0;
  let indexes = 0;
  const work = async (): Promise<void> => {
    while (begun < kills) {
      const number = indexes++;
      const life = await Life.begin(
        join(folder, `index-${number}`),
        seed + 1000 * number,
        BUILDS[number % BUILDS.length]!,
      );
      for (let i = 0; i < KILLS_PER_INDEX && begun < kills; i++) {
        begun++;
        if (!(await life.kill(totals))) break;
        report(totals);
      }
      life.end();
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return totals;
}

/** An index that writer after writer goes on with. */
class Life {
  readonly #directory: string;
  readonly #seed: number;
  readonly #random: Random;
  #rows: Rows;
  /** Operations that are known to have been done. */
  #done = 0;
  #isViolated = false;

  private constructor(directory: string, seed: number, rows: Rows) {
    this.#directory = directory;
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#rows = rows;
  }

  static async begin(directory: string, seed: number, build: (typeof BUILDS)[number]): Promise<Life> {
    mkdirSync(directory);
    const { vectors } = clustered(SIZE, DIMENSIONS, seed);
    const ids = Array.from({ length: SIZE }, (_, i) => nameOf(i));
    await using index = await Index.build(
      { ids, vectors },
      { ...build, dimensions: DIMENSIONS, threads: 1, shards: 2 },
    );
    await index.save(directory);
    return new Life(directory, seed, await contentOf(index));
  }

  /** What was violated stays, to be looked at. */
  end(): void {
    if (!this.#isViolated) rmSync(this.#directory, { recursive: true });
  }

  /** Kills one writer. Returns whether all was as it should be. */
  async kill(totals: KillTotals): Promise<boolean> {
    const random = this.#random;
    const options: OpenOptions = {
      threads: 1,
      durability: random.pick(['always', 'interval', 'none']),
      checkpointBytes: random.pick([4_000, 20_000, 100_000, 1_000_000]),
    };
    const orders: WriterOrders = { directory: this.#directory, seed: this.#seed, from: this.#done, options };
    const whileOpening = random.float() < 0.2;
    const time = random.float() * (whileOpening ? 250 : 400);
    const ended = await runChild('./writer.ts', orders, async (line, kill) => {
      if (line !== (whileOpening ? 'opening' : 'open')) return;
      await delay(time);
      kill();
    });
    const what = `${this.#directory}, ${JSON.stringify(orders)}`;
    const fail = (violation: string): boolean => {
      totals.violations.push(`${what}: ${violation}`);
      this.#isViolated = true;
      return false;
    };
    if (ended.signal !== 'SIGKILL') return fail(`the writer ended by itself, with ${ended.code}: ${ended.errors}`);
    const submitted = reached(ended.lines, 'S', this.#done);
    const acknowledged = reached(ended.lines, 'A', this.#done);
    const operations = Array.from({ length: submitted }, (_, i) => operationAt(this.#seed, this.#done + i));
    const verdict = await checkDirectory(
      this.#directory,
      { before: this.#rows, operations, acknowledged },
      random.int(0, 1e6),
    );
    if (verdict.violation !== undefined) {
      return fail(`${acknowledged} acknowledged of ${submitted} submitted, but ${verdict.violation}`);
    }
    totals.kills++;
    if (!ended.lines.includes('open')) totals.whileOpening++;
    totals.acknowledged += acknowledged;
    totals.inFlight += submitted - acknowledged;
    totals.inFlightKept += verdict.done - acknowledged;
    this.#rows = verdict.rows;
    this.#done += verdict.done;
    return true;
  }
}
