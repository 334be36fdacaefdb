import { invalid } from '../protocol/check.ts';
import {
  OPERATION_AND,
  OPERATION_CODE,
  OPERATION_CODES,
  OPERATION_EVERY,
  OPERATION_NOT,
  OPERATION_OR,
  OPERATION_RANGE,
} from '../protocol/control-layout.ts';
import type { Filter, FilterValues, Range } from '../protocol/filter.ts';
import type { Attribute, AttributeSchema } from './attribute-schema.ts';
import type { Step } from './filter-steps.ts';

const EVERY: Step = { operation: OPERATION_EVERY };
const NOT: Step = { operation: OPERATION_NOT };
/** What no vector passes. */
const NONE: readonly Step[] = [EVERY, NOT];

/**
 * The steps of a filter. An attribute that no vector has yet is one that every vector lacks.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION where a filter asks of an attribute what its kind does not have
 */
export function compileFilter(filter: Filter, schema: AttributeSchema, option = 'filter'): Step[] {
  const parts: (readonly Step[])[] = [];
  for (const [name, values] of Object.entries(filter.allow ?? {})) {
    parts.push(withAny(schema.get(name), values, `${option}.allow.${name}`));
  }
  for (const [name, values] of Object.entries(filter.deny ?? {})) {
    parts.push([...withAny(schema.get(name), values, `${option}.deny.${name}`), NOT]);
  }
  for (const [name, range] of Object.entries(filter.range ?? {})) {
    parts.push(within(schema.get(name), range, `${option}.range.${name}`));
  }
  for (const [i, one] of (filter.and ?? []).entries()) parts.push(compileFilter(one, schema, `${option}.and[${i}]`));
  if (filter.or !== undefined) {
    parts.push(
      joined(
        filter.or.map((one, i) => compileFilter(one, schema, `${option}.or[${i}]`)),
        OPERATION_OR,
        NONE,
      ),
    );
  }
  if (filter.not !== undefined) parts.push([...compileFilter(filter.not, schema, `${option}.not`), NOT]);
  return [...joined(parts, OPERATION_AND, [EVERY])];
}

function joined(
  parts: readonly (readonly Step[])[],
  operation: typeof OPERATION_AND | typeof OPERATION_OR,
  ofNone: readonly Step[],
): readonly Step[] {
  if (parts.length === 0) return ofNone;
  return parts.flatMap((part, i) => (i === 0 ? part : [...part, { operation }]));
}

/** Vectors with one of these values. */
function withAny(attribute: Attribute | undefined, values: FilterValues, option: string): readonly Step[] {
  for (const [i, value] of values.entries()) {
    const kind = typeof value === 'string' ? 'token' : typeof value;
    if (attribute === undefined || kind === attribute.kind) continue;
    throw invalid(`${option}[${i}]`, value, `of the attribute's kind, which is ${attribute.kind}`);
  }
  if (attribute === undefined || values.length === 0) return NONE;
  if (attribute.values === null) {
    const ranges = (values as number[]).map((value) => [rangeStep(attribute, value, value)]);
    return joined(ranges, OPERATION_OR, NONE);
  }
  const codes = [...new Set(values.flatMap((value) => attribute.values!.codesWith(value)))];
  if (codes.length === 0) return NONE;
  if (codes.length === 1) return [{ operation: OPERATION_CODE, attribute, code: codes[0]! }];
  return [codesStep(attribute, codes)];
}

/** Vectors whose value has one of these codes. */
export function codesStep(attribute: Attribute, codes: Iterable<number>): Step {
  const bits = new Uint32Array((attribute.values!.end + 31) >>> 5);
  for (const code of codes) bits[code >>> 5]! |= 1 << (code & 31);
  return { operation: OPERATION_CODES, attribute, codes: bits };
}

function within(attribute: Attribute | undefined, { gt, gte, lt, lte }: Range, option: string): readonly Step[] {
  if (attribute === undefined) return NONE;
  if (attribute.kind !== 'number') {
    throw invalid(option, attribute.kind, 'of an attribute whose values are numbers');
  }
  // Math.max and Math.min of NaN are NaN.
  const least = Math.max(gte ?? Number.NEGATIVE_INFINITY, gt === undefined ? Number.NEGATIVE_INFINITY : next(gt, 1));
  const most = Math.min(lte ?? Number.POSITIVE_INFINITY, lt === undefined ? Number.POSITIVE_INFINITY : next(lt, -1));
  return [rangeStep(attribute, least, most)];
}

const rangeStep = (attribute: Attribute, least: number, most: number): Step => ({
  operation: OPERATION_RANGE,
  ...{ attribute, least, most },
});

const float = new Float64Array(1);
const bits = new BigInt64Array(float.buffer);

/** The number right above (direction 1) or below (-1) another; NaN, which nothing reaches, beyond infinity. */
function next(value: number, direction: 1 | -1): number {
  if (value === direction * Number.POSITIVE_INFINITY) return Number.NaN;
  if (value === 0) return direction * Number.MIN_VALUE;
  float[0] = value;
  bits[0]! += value > 0 === direction > 0 ? 1n : -1n;
  return float[0];
}
