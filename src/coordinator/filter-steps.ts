import {
  FILTER_ALLOWED,
  FILTER_ALLOWS,
  FILTER_EXCLUDED,
  FILTER_EXCLUDES,
  FILTER_HEADER_BYTES,
  FILTER_LISTS,
  FILTER_NUM_ALLOWED,
  FILTER_NUM_EXCLUDED,
  FILTER_NUMBER,
  FILTER_STEPS,
  OPERATION_AND,
  OPERATION_CODE,
  OPERATION_CODES,
  OPERATION_EVERY,
  OPERATION_NOT,
  type OPERATION_OR,
  OPERATION_RANGE,
  STEP_BYTES,
  STEP_CODES,
  STEP_COLUMN,
  STEP_LEAST,
  STEP_MOST,
  STEP_NUM_CODES,
  STEP_OPERATION,
} from '../protocol/control-layout.ts';
import type { Views } from '../shard/views.ts';
import type { Attribute } from './attribute-schema.ts';

/** A step of a filter; see control-layout.ts. */
export type Step =
  | { readonly operation: typeof OPERATION_EVERY | typeof OPERATION_AND | typeof OPERATION_OR | typeof OPERATION_NOT }
  | { readonly operation: typeof OPERATION_CODE; readonly attribute: Attribute; readonly code: number }
  | { readonly operation: typeof OPERATION_CODES; readonly attribute: Attribute; readonly codes: Uint32Array }
  | {
      readonly operation: typeof OPERATION_RANGE;
      readonly attribute: Attribute;
      readonly least: number;
      readonly most: number;
    };

/** Rows by number, ascending, that alone pass, or that do not. */
export interface RowLists {
  readonly allowed?: Uint32Array | undefined;
  readonly excluded?: Uint32Array | undefined;
}

/** Whether a vector passes, by its values. */
export function passes(steps: readonly Step[], read: (attribute: Attribute) => number): boolean {
  const stack: boolean[] = [];
  for (const step of steps) {
    switch (step.operation) {
      case OPERATION_EVERY:
        stack.push(true);
        break;
      case OPERATION_CODE:
        stack.push(read(step.attribute) === step.code);
        break;
      case OPERATION_CODES: {
        const code = read(step.attribute);
        stack.push(((step.codes[code >>> 5] ?? 0) & (1 << (code & 31))) !== 0);
        break;
      }
      case OPERATION_RANGE: {
        const value = read(step.attribute);
        stack.push(value >= step.least && value <= step.most);
        break;
      }
      case OPERATION_NOT:
        stack.push(!stack.pop());
        break;
      default: {
        const [b, a] = [stack.pop()!, stack.pop()!];
        stack.push(step.operation === OPERATION_AND ? a && b : a || b);
      }
    }
  }
  return stack[0]!;
}

/** Bytes that a filter takes in the control memory. */
export function filterBytes(steps: readonly Step[], { allowed, excluded }: RowLists): number {
  const codes = steps.reduce((sum, step) => sum + (step.operation === OPERATION_CODES ? step.codes.length : 0), 0);
  return (
    FILTER_HEADER_BYTES + steps.length * STEP_BYTES + 4 * (codes + (allowed?.length ?? 0) + (excluded?.length ?? 0))
  );
}

/** Writes a filter as the workers read it. */
export function writeFilter(
  { u32, f64 }: Views,
  pointer: number,
  number: number,
  steps: readonly Step[],
  { allowed, excluded }: RowLists,
): void {
  let end = pointer + FILTER_HEADER_BYTES + steps.length * STEP_BYTES;
  const put = (words: Uint32Array): number => {
    const at = end;
    u32.set(words, at >>> 2);
    end += words.byteLength;
    return at;
  };
  const header = (word: number, value: number): void => {
    u32[(pointer + word) >>> 2] = value;
  };
  header(FILTER_NUMBER, number);
  header(FILTER_STEPS, steps.length);
  header(FILTER_LISTS, (allowed === undefined ? 0 : FILTER_ALLOWS) | (excluded === undefined ? 0 : FILTER_EXCLUDES));
  header(FILTER_ALLOWED, allowed === undefined ? 0 : put(allowed));
  header(FILTER_NUM_ALLOWED, allowed?.length ?? 0);
  header(FILTER_EXCLUDED, excluded === undefined ? 0 : put(excluded));
  header(FILTER_NUM_EXCLUDED, excluded?.length ?? 0);
  for (const [i, step] of steps.entries()) {
    const at = pointer + FILTER_HEADER_BYTES + i * STEP_BYTES;
    u32.fill(0, at >>> 2, (at + STEP_BYTES) >>> 2);
    u32[(at + STEP_OPERATION) >>> 2] = step.operation;
    if (!('attribute' in step)) continue;
    u32[(at + STEP_COLUMN) >>> 2] = step.attribute.column;
    switch (step.operation) {
      case OPERATION_CODE:
        u32[(at + STEP_CODES) >>> 2] = step.code;
        break;
      case OPERATION_CODES:
        u32[(at + STEP_CODES) >>> 2] = put(step.codes);
        u32[(at + STEP_NUM_CODES) >>> 2] = step.codes.length * 32;
        break;
      case OPERATION_RANGE:
        f64[(at + STEP_LEAST) >>> 3] = step.least;
        f64[(at + STEP_MOST) >>> 3] = step.most;
    }
  }
}
