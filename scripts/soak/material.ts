import type { Attributes, Filter, Id } from '../../src/index.ts';
import { createRandom, type Random } from '../datasets/index.ts';

const CENTRES = 64;
/** Deviation of vectors from their centre, per dimension, where the centres deviate by 1. */
const SPREAD = 0.5;
const LANGUAGES = ['de', 'en', 'fr', 'it', 'es', 'pl'];
const TAGS = Array.from({ length: 24 }, (_, i) => `tag ${i}`);
const HIGHEST_PRICE = 100;
/** Filters that are in use at a time; one that is used often is answered from what workers keep of it. */
const FILTERS = 48;
/** Chance that a filter that is asked for is a new one, which takes the place of another. */
const FRESH_FILTER = 0.03;

export interface MaterialOptions {
  /** Vectors that there are at first. */
  readonly size: number;
  readonly dimensions: number;
  readonly seed: number;
}

/** Ids, vectors, attributes and filters, at random. */
export class Material {
  readonly random: Random;
  readonly #dimensions: number;
  readonly #names: number;
  readonly #centres: Float32Array;
  readonly #filters: Filter[];

  constructor({ size, dimensions, seed }: MaterialOptions) {
    this.random = createRandom(seed);
    this.#dimensions = dimensions;
    // Of more ids than there are vectors, some are not there, and come back.
    this.#names = Math.ceil(1.2 * size);
    this.#centres = Float32Array.from({ length: CENTRES * dimensions }, () => this.random.normal());
    this.#filters = Array.from({ length: FILTERS }, () => this.#freshFilter());
  }

  chance(part: number): boolean {
    return this.random.uniform() < part;
  }

  int(from: number, to: number): number {
    return from + this.random.below(to - from + 1);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.random.below(items.length)]!;
  }

  /** Numbers and texts side by side. */
  nameAt(n: number): Id {
    return n % 3 === 0 ? n : `id ${n}`;
  }

  id(): Id {
    return this.nameAt(this.random.below(this.#names));
  }

  vectors(count: number): Float32Array {
    const vectors = new Float32Array(count * this.#dimensions);
    for (let i = 0; i < count; i++) {
      const centre = this.random.below(CENTRES) * this.#dimensions;
      for (let d = 0; d < this.#dimensions; d++) {
        vectors[i * this.#dimensions + d] = this.#centres[centre + d]! + SPREAD * this.random.normal();
      }
    }
    return vectors;
  }

  /** A query, of length 1: close to a vector if there is one. */
  query(close: Float32Array | undefined): Float32Array {
    const query = close === undefined ? this.vectors(1) : close.map((value) => value + 0.03 * this.random.normal());
    const norm = Math.sqrt(query.reduce((sum, value) => sum + value * value, 0));
    return query.map((value) => value / norm);
  }

  attributes(): Attributes | null {
    if (this.chance(0.05)) return null;
    return {
      language: this.chance(0.1) ? null : this.pick(LANGUAGES),
      tags: this.chance(0.1) ? this.pick(TAGS) : Array.from({ length: this.int(0, 3) }, () => this.pick(TAGS)),
      price: this.chance(0.1) ? undefined : this.#price(),
      sold: this.chance(0.3),
      rare: this.chance(1 / 300) ? 'yes' : null,
    };
  }

  filter(): Filter {
    if (this.chance(FRESH_FILTER)) this.#filters[this.random.below(FILTERS)] = this.#freshFilter();
    return this.pick(this.#filters);
  }

  #freshFilter(depth = 0): Filter {
    switch (this.int(0, depth < 2 ? 9 : 6)) {
      case 0:
        return { allow: { language: [this.pick(LANGUAGES)] } };
      case 1:
        return { deny: { language: [this.pick(LANGUAGES), this.pick(LANGUAGES)], sold: [true] } };
      case 2:
        return { allow: { tags: Array.from({ length: this.int(1, 3) }, () => this.pick(TAGS)) } };
      case 3:
      case 4: {
        const low = this.#price();
        return { range: { price: { gte: low, lt: low + HIGHEST_PRICE * this.pick([0.001, 0.01, 0.1, 0.5]) } } };
      }
      case 5:
        return { allow: { rare: ['yes'] } };
      case 6:
        return this.pick<Filter>([{}, { allow: { language: ['none'] } }, { allow: { sold: [true] } }]);
      case 7:
        return { or: [this.#freshFilter(depth + 1), this.#freshFilter(depth + 1)] };
      case 8:
        return { and: [this.#freshFilter(depth + 1)], not: this.#freshFilter(depth + 1) };
      default:
        return { not: this.#freshFilter(depth + 1) };
    }
  }

  #price(): number {
    return this.random.below(HIGHEST_PRICE * 100) / 100;
  }
}
