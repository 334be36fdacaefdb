import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Id, Index, ScanneryError, SearchOptions } from '../../src/index.ts';
import type { Question } from './answer.ts';
import { checkGet, checkHas, checkSearch } from './check.ts';
import type { Material } from './material.ts';
import type { Model, Sight, Write } from './model.ts';
import type { Tally } from './tally.ts';

/** An index, or what stands before one. */
export type SoakedIndex = Pick<
  Index,
  'search' | 'searchBatch' | 'get' | 'has' | 'upsert' | 'delete' | 'save' | 'rebalance' | 'ids' | 'size'
>;

export interface LoadOptions {
  readonly size: number;
  readonly concurrency: number;
  /** Milliseconds. */
  readonly duration: number;
}

/** Ids of the last writes, which are asked for and written to again. */
const RECENT = 64;
/** Writes of a burst. */
const BURST = 8;
const K = 10;

/** A mixed load on an index, every answer of which is checked. */
export class Load {
  /** End of the first rebalance, in milliseconds since the beginning. */
  firstRebalance: number | undefined;
  readonly #index: SoakedIndex;
  readonly #model: Model;
  readonly #material: Material;
  readonly #tally: Tally;
  readonly #options: LoadOptions;
  readonly #recent: Id[] = [];
  readonly #begun = performance.now();
  #lastFound: readonly Id[] = [];

  constructor(index: SoakedIndex, model: Model, material: Material, tally: Tally, options: LoadOptions) {
    this.#index = index;
    this.#model = model;
    this.#material = material;
    this.#tally = tally;
    this.#options = options;
  }

  get #elapsed(): number {
    return performance.now() - this.#begun;
  }

  /** Settles when the time is over and all calls have been answered. */
  async run(): Promise<void> {
    const { concurrency, duration } = this.#options;
    const lane = async (): Promise<void> => {
      while (this.#elapsed < duration) {
        await this.#next();
        await this.#turn();
      }
    };
    await Promise.all([
      ...Array.from({ length: concurrency }, lane),
      this.#every(Math.min(15_000, duration / 8), () => this.#tally.call('save', () => this.#index.save())),
      this.#every(Math.min(30_000, Math.max(500, duration / 20)), () => this.#rebalance()),
    ]);
  }

  /**
   * Answers come many at a time, and each is checked for a while, so others get their turn in between. But not always: what is called
   * in the same turn in which something is answered comes between the steps of writes.
   */
  async #turn(): Promise<void> {
    if (this.#material.chance(0.7)) await nextTurn();
  }

  /** Again and again, that long after the last time. */
  async #every(pause: number, work: () => Promise<unknown>): Promise<void> {
    while (this.#elapsed + pause < this.#options.duration) {
      await delay(pause);
      await work();
    }
  }

  async #rebalance(): Promise<void> {
    await this.#tally.call('rebalance', () => this.#index.rebalance());
    this.firstRebalance ??= this.#elapsed;
  }

  #next(): Promise<void> {
    const chance = this.#material.random.uniform();
    if (chance < 0.03) return this.#write();
    if (chance < 0.033) return this.#burst();
    if (chance < 0.06) return this.#look();
    if (chance < 0.065) return this.#refused();
    if (chance < 0.11) return this.#batch();
    return this.#search(this.#question());
  }

  /** Writes close behind each other, and searches for and without what they write. */
  async #burst(): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let i = 0; i < BURST; i++) {
      calls.push(this.#write());
      const { query, options } = this.#question();
      const lists = this.#material.chance(0.5) ? { allowIds: this.#listed() } : { excludeIds: this.#listed() };
      calls.push(this.#search({ query, options: { ...options, ...lists } }));
    }
    await Promise.all(calls);
  }

  #write(): Promise<void> {
    return this.#material.chance(this.#partOfDeletes()) ? this.#delete() : this.#upsert();
  }

  /** So that the index stays about as large as it was. */
  #partOfDeletes(): number {
    return this.#model.size > this.#options.size ? 0.6 : 0.15;
  }

  async #search(question: Question): Promise<void> {
    const kind = question.options.exact ? 'exact search' : 'approximate search';
    await this.#seen(async (sight) => {
      const found = await this.#tally.call(kind, () => this.#index.search(question.query, question.options));
      this.#model.answered(sight);
      if (found === undefined) return;
      await this.#turn();
      this.#check(question, sight, found);
      this.#lastFound = found.ids;
    });
  }

  async #batch(): Promise<void> {
    const { options } = this.#question();
    const queries = Array.from({ length: this.#material.int(1, 8) }, () => this.#query());
    await this.#seen(async (sight) => {
      const found = await this.#tally.call('batch', () => this.#index.searchBatch(queries, options));
      this.#model.answered(sight);
      if (found === undefined) return;
      if (found.length !== queries.length) this.#tally.wrong(`${found.length} answers to ${queries.length} queries`);
      for (const [i, query] of queries.entries()) {
        await this.#turn();
        this.#check({ query, options }, sight, found[i]!);
      }
    });
  }

  #check(question: Question, sight: Sight, found: Parameters<typeof checkSearch>[3]): void {
    const verdict = checkSearch(this.#model, question, sight, found);
    const { exact, filter, crowding } = question.options;
    const tally = this.#tally;
    if (sight.last > sight.first) tally.besideWrites++;
    if (filter !== undefined) tally.filtered++;
    if (crowding !== undefined) tally.crowded++;
    if (verdict.wrong !== undefined) tally.wrong(verdict.wrong);
    else if (exact !== true) {
      tally.wanted += verdict.wanted;
      tally.hits += verdict.hits;
    }
  }

  async #look(): Promise<void> {
    const id = this.#someId();
    await this.#seen(async (sight) => {
      if (this.#material.chance(0.5)) {
        let found: Awaited<ReturnType<Index['get']>>;
        let isAnswered = false;
        await this.#tally.call('get, has', async () => {
          found = await this.#index.get(id);
          isAnswered = true;
        });
        this.#model.answered(sight);
        const wrong = isAnswered ? checkGet(this.#model, id, sight, found) : undefined;
        if (wrong !== undefined) this.#tally.wrong(wrong);
      } else {
        const found = await this.#tally.call('get, has', () => this.#index.has(id));
        this.#model.answered(sight);
        const wrong = found === undefined ? undefined : checkHas(this.#model, id, sight, found);
        if (wrong !== undefined) this.#tally.wrong(wrong);
      }
    });
  }

  /** Lets a call look, for as long as it takes, at all that it may see. */
  async #seen(call: (sight: Sight) => Promise<void>): Promise<void> {
    const sight = this.#model.begin();
    try {
      await call(sight);
    } finally {
      this.#model.finish(sight);
    }
  }

  async #upsert(): Promise<void> {
    const material = this.#material;
    const ids = this.#someIds();
    const vectors = material.vectors(ids.length);
    const attributes = ids.map(() => material.attributes());
    await this.#written(
      'upsert',
      () => this.#index.upsert({ ids, vectors, attributes }),
      () => this.#model.upsert(ids, vectors, attributes),
    );
  }

  async #delete(): Promise<void> {
    const ids = this.#someIds();
    await this.#written(
      'delete',
      () => this.#index.delete(ids),
      () => this.#model.delete(ids),
    );
  }

  /** Makes a write, and does to the model what it does, in the same turn. */
  async #written<T>(kind: 'upsert' | 'delete', make: () => Promise<T>, note: () => Write<T>): Promise<void> {
    let write: Write<T> | undefined;
    const result = await this.#tally.call(kind, () => {
      const made = make();
      write = note();
      return made;
    });
    if (result === undefined) return;
    const { number, result: wanted } = write!;
    this.#model.resolve(number);
    if (isDeepStrictEqual({ ...result }, wanted)) return;
    this.#tally.wrong(`${kind} said ${JSON.stringify(result)}, not ${JSON.stringify(wanted)}`);
  }

  /** Calls that must fail, and change nothing. */
  async #refused(): Promise<void> {
    const material = this.#material;
    const ids = this.#someIds();
    const vectors = material.vectors(ids.length);
    vectors[vectors.length - 1] = Number.NaN;
    const isWrite = material.chance(0.5);
    const code = isWrite ? 'SCANNERY_INVALID_VECTOR' : 'SCANNERY_INVALID_OPTION';
    await this.#tally.call('refused call', async () => {
      const call = isWrite
        ? this.#index.upsert({ ids, vectors })
        : this.#index.search(this.#query(), { filter: { range: { language: { gt: 1 } } } });
      const error = await call.then(
        () => undefined,
        (reason: unknown) => reason as ScanneryError,
      );
      if (error?.code !== code) throw new Error(`it ended with ${error}, not ${code}`);
    });
  }

  /** Close to a vector that was written lately, or anywhere. */
  #query(): Float32Array {
    const { submitted } = this.#model;
    const id = this.#material.chance(0.5) ? this.#recent[this.#material.int(0, RECENT - 1)] : undefined;
    const place = id === undefined ? undefined : this.#model.at(id, submitted);
    return this.#material.query(place === undefined ? undefined : this.#model.vectorAt(place));
  }

  #question(): Question {
    const material = this.#material;
    const options: SearchOptions & { k: number } = { k: material.chance(0.7) ? K : material.int(1, 2 * K) };
    if (material.chance(0.3)) options.exact = true;
    else if (material.chance(0.2)) options.numLeavesToSearch = material.pick([8, 20, 1000]);
    if (material.chance(0.45)) options.filter = material.filter();
    if (material.chance(0.08)) options.allowIds = this.#listed();
    if (material.chance(0.1)) options.excludeIds = [...this.#lastFound, ...this.#listed()];
    if (material.chance(0.04)) {
      options.crowding = { attribute: material.pick(['language', 'tags', 'sold', 'none']), max: material.int(1, 3) };
    }
    return { query: this.#query(), options };
  }

  /** A list for a search: few ids, or many, among them those that are being written. */
  #listed(): Id[] {
    const length = this.#material.pick([0, 3, 100, 3000]);
    return [...(length < 100 ? [] : this.#recent), ...this.#list(length)];
  }

  #list(length: number): Id[] {
    return Array.from({ length }, () => this.#someId());
  }

  #someId(): Id {
    const recent = this.#material.chance(0.3) ? this.#recent[this.#material.int(0, RECENT - 1)] : undefined;
    return recent ?? this.#material.id();
  }

  /** A few different ones, to be written. */
  #someIds(): Id[] {
    const ids = [...new Set(this.#list(this.#material.int(1, 5)))];
    this.#recent.push(...ids);
    this.#recent.splice(0, this.#recent.length - RECENT);
    return ids;
  }
}
