import type { Attributes, DeleteResult, Filter, Id, UpsertResult } from '../../src/index.ts';
import { kept, matches } from './matching.ts';

/**
 * What an answer may be of: the state after any number of writes from `first` to `last`. Those that had resolved when the call was
 * made it must see; those submitted before it was answered it may see, each as a whole and in their order.
 */
export interface Sight {
  readonly first: number;
  last: number;
}

/** A write that was submitted. */
export interface Write<T> {
  /** The state that it makes. */
  readonly number: number;
  /** What the index should say of it. */
  readonly result: T;
}

const UNKNOWN = 0;
const FAILS = 1;
const PASSES = 2;
/** Filters of which is kept what they let through. */
const KEPT_FILTERS = 64;

/**
 * What an index should hold, now and in every state that an answer may still be of. Each vector that an id ever had is a version, in
 * a place of its own, valid from the write that brought it until the one that took it away.
 */
export class Model {
  readonly dimensions: number;
  /** Vectors of length 1, f32 [places x dimensions]. */
  vectors: Float32Array;
  /** A version is valid in state m if from <= m < to. */
  from: Float64Array;
  to: Float64Array;
  readonly ids: Id[] = [];
  readonly attributes: Attributes[] = [];
  /** Places in use are below this. */
  end = 0;
  /** Writes submitted: the latest state. */
  submitted = 0;
  #resolved = 0;
  #size = 0;
  /** By id, the versions that are kept, the latest last. */
  readonly #versions = new Map<Id, number[]>();
  readonly #free: number[] = [];
  /** Versions that were taken away, by the time of that. */
  readonly #ended: number[] = [];
  /** Of calls under way, in their order, so that the first one looks furthest back. */
  readonly #sights = new Set<Sight>();
  readonly #judged = new Map<Filter, Uint8Array>();

  constructor(dimensions: number, places = 1024) {
    this.dimensions = dimensions;
    this.vectors = new Float32Array(places * dimensions);
    this.from = new Float64Array(places);
    this.to = new Float64Array(places);
  }

  /** Ids that have a vector in the latest state. */
  get size(): number {
    return this.#size;
  }

  /** Versions that are kept beside those of the latest state. */
  get past(): number {
    return this.#ended.length;
  }

  /** To be called in the same turn as the index's own, so that both have the same order. */
  upsert(ids: readonly Id[], vectors: Float32Array, attributes?: readonly (Attributes | null)[]): Write<UpsertResult> {
    const number = ++this.submitted;
    let updated = 0;
    for (const [i, id] of ids.entries()) {
      if (this.#remove(id, number)) updated++;
      this.#add(id, vectors.subarray(i * this.dimensions, (i + 1) * this.dimensions), attributes?.[i] ?? null, number);
    }
    return { number, result: { inserted: ids.length - updated, updated } };
  }

  delete(ids: readonly Id[]): Write<DeleteResult> {
    const number = ++this.submitted;
    const deleted = ids.filter((id) => this.#remove(id, number)).length;
    return { number, result: { deleted, unknown: ids.length - deleted } };
  }

  /** A write has resolved, and so all before it can be seen. */
  resolve(number: number): void {
    this.#resolved = Math.max(this.#resolved, number);
    this.#forget();
  }

  /** A call is about to be made. All that it may see is kept until `end`. */
  begin(): Sight {
    const sight = { first: this.#resolved, last: this.submitted };
    this.#sights.add(sight);
    return sight;
  }

  /** It was answered; what is submitted from now on it cannot have seen. */
  answered(sight: Sight): void {
    sight.last = this.submitted;
  }

  finish(sight: Sight): void {
    this.#sights.delete(sight);
    this.#forget();
  }

  /** The place of the version that an id has in a state. */
  at(id: Id, state: number): number | undefined {
    return this.#versions.get(id)?.find((place) => this.isValid(place, state));
  }

  isValid(place: number, state: number): boolean {
    return this.from[place]! <= state && state < this.to[place]!;
  }

  vectorAt(place: number): Float32Array {
    return this.vectors.subarray(place * this.dimensions, (place + 1) * this.dimensions);
  }

  /** Whether a filter lets a version through; what was found once is kept. */
  judge(filter: Filter): (place: number) => boolean {
    const judged = this.#judged.get(filter) ?? new Uint8Array(this.from.length);
    this.#judged.delete(filter);
    this.#judged.set(filter, judged);
    if (this.#judged.size > KEPT_FILTERS) this.#judged.delete(this.#judged.keys().next().value!);
    return (place) => {
      if (judged[place] === UNKNOWN) judged[place] = matches(this.attributes[place]!, filter) ? PASSES : FAILS;
      return judged[place] === PASSES;
    };
  }

  /** Places of the latest state. */
  *latest(): Generator<number> {
    for (let place = 0; place < this.end; place++) if (this.isValid(place, this.submitted)) yield place;
  }

  #add(id: Id, vector: Float32Array, attributes: Attributes | null, number: number): void {
    const place = this.#free.pop() ?? this.#next();
    const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    for (let d = 0; d < this.dimensions; d++) this.vectors[place * this.dimensions + d] = vector[d]! / norm;
    this.from[place] = number;
    this.to[place] = Number.POSITIVE_INFINITY;
    this.ids[place] = id;
    this.attributes[place] = kept(attributes);
    for (const judged of this.#judged.values()) judged[place] = UNKNOWN;
    const versions = this.#versions.get(id);
    if (versions === undefined) this.#versions.set(id, [place]);
    else versions.push(place);
    this.#size++;
  }

  /** Ends what an id has; returns whether it had anything. */
  #remove(id: Id, number: number): boolean {
    const place = this.#versions.get(id)?.at(-1);
    if (place === undefined || this.to[place] !== Number.POSITIVE_INFINITY) return false;
    this.to[place] = number;
    this.#ended.push(place);
    this.#size--;
    return true;
  }

  /** Gives away the places of versions that no answer can be of any more. */
  #forget(): void {
    const [oldest] = this.#sights;
    const first = oldest?.first ?? this.#resolved;
    while (this.#ended.length > 0 && this.to[this.#ended[0]!]! <= first) {
      const place = this.#ended.shift()!;
      const id = this.ids[place]!;
      const left = this.#versions.get(id)!.filter((one) => one !== place);
      if (left.length === 0) this.#versions.delete(id);
      else this.#versions.set(id, left);
      this.from[place] = Number.POSITIVE_INFINITY;
      this.to[place] = Number.NEGATIVE_INFINITY;
      this.#free.push(place);
    }
  }

  #next(): number {
    if (this.end === this.from.length) {
      const places = 2 * this.end;
      const grown = <T extends Float32Array | Float64Array | Uint8Array>(old: T, larger: T): T => {
        larger.set(old);
        return larger;
      };
      this.vectors = grown(this.vectors, new Float32Array(places * this.dimensions));
      this.from = grown(this.from, new Float64Array(places));
      this.to = grown(this.to, new Float64Array(places));
      for (const [filter, judged] of this.#judged) this.#judged.set(filter, grown(judged, new Uint8Array(places)));
    }
    return this.end++;
  }
}
