import type { Filter } from '../protocol/filter.ts';
import { Random } from '../protocol/random.ts';
import type { AttributeSchema } from './attribute-schema.ts';
import type { IndexData } from './build.ts';
import { compileFilter } from './compile-filter.ts';
import { passes, type Step } from './filter-steps.ts';
import type { Place } from './rows.ts';

/** Filters that are kept compiled; workers keep what they let through by their numbers. */
const KEPT = 64;
/** Vectors that a filter is tried on to tell how many it lets through. */
const SAMPLED = 256;
const SEED = 7;

/** A filter in steps. */
export interface CompiledFilter {
  /** No other filter has it, unless the steps are the same. */
  readonly number: number;
  readonly steps: readonly Step[];
  /** Of all vectors, the part that passes, as a sample tells: never 0. */
  readonly fraction: number;
}

/** The filters of an index. */
export class Filters {
  readonly #data: IndexData;
  /** By what they say; the latest last. */
  readonly #kept = new Map<string, { readonly filter: CompiledFilter; readonly known: number }>();
  #next = 1;
  #sample: readonly Place[] = [];
  #sampledOf = 0;

  constructor(data: IndexData) {
    this.#data = data;
  }

  /** @throws {ScanneryError} SCANNERY_INVALID_OPTION */
  compile(filter: Filter): CompiledFilter {
    const { schema } = this.#data.attributes;
    const key = JSON.stringify(filter, infinite);
    const kept = this.#kept.get(key);
    const known = knownValues(schema);
    this.#kept.delete(key);
    // A new value may be a list with a token that the filter names.
    const compiled = kept?.known === known ? kept.filter : this.of(compileFilter(filter, schema));
    this.#kept.set(key, { filter: compiled, known });
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    return compiled;
  }

  /** A filter of these steps, with a number of its own. */
  of(steps: readonly Step[]): CompiledFilter {
    return { number: this.#next++, steps, fraction: this.#fractionOf(steps) };
  }

  #fractionOf(steps: readonly Step[]): number {
    const { attributes, rows } = this.#data;
    if (rows.count > 1.25 * this.#sampledOf) {
      const chosen = new Random(SEED).sample(rows.count, Math.min(SAMPLED, rows.count));
      this.#sample = Array.from(chosen, (row) => rows.placeOf(row)!);
      this.#sampledOf = rows.count;
    }
    let count = 0;
    for (const { memory, local } of this.#sample) {
      const columns = attributes.memories[memory]!;
      if (passes(steps, (attribute) => columns.read(local, attribute))) count++;
    }
    return Math.max(0.5, count) / Math.max(1, this.#sample.length);
  }
}

/** JSON has no infinities, which bound ranges. */
function infinite(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

/** Grows whenever an attribute or a value becomes known. */
function knownValues(schema: AttributeSchema): number {
  let known = 0;
  for (const { values } of schema.all) known += 1 + (values?.end ?? 0);
  return known;
}
