import type { TopKResult } from '../../recommender/index.ts';
import { OUTPUTS } from './signature.ts';

// Written as text, since JSON.stringify has no bigints, and would write 32-bit floats with the digits of 64-bit ones.

/** The answer of a layer as TensorFlow Serving gives it: one object per query, or one list per output. */
export function predictAnswer([scores, identifiers]: TopKResult, format: 'row' | 'column'): string {
  const [first, second] = OUTPUTS;
  const scoreTexts = scores.map((row) => `[${Array.from(row, floatText).join(',')}]`);
  const idTexts = identifiers.map((row) => `[${row.map(idText).join(',')}]`);
  if (format === 'column') {
    return `{"outputs":{"${first}":[${scoreTexts.join(',')}],"${second}":[${idTexts.join(',')}]}}`;
  }
  const rows = scoreTexts.map((text, query) => `{"${first}":${text},"${second}":${idTexts[query]}}`);
  return `{"predictions":[${rows.join(',')}]}`;
}

/** Digits that tell any two 32-bit floats apart. */
const ALL_DIGITS = 9;
const FEW_DIGITS = 6;

/** A 32-bit float in as few digits as TensorFlow Serving uses, always with a point or an exponent. */
export function floatText(value: number): string {
  const short = Number(value.toPrecision(FEW_DIGITS));
  const text = String(Math.fround(short) === value ? short : Number(value.toPrecision(ALL_DIGITS)));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** Integers of 64 bits are written as they are, as TensorFlow Serving does. */
const idText = (id: string | number | bigint): string => (typeof id === 'string' ? JSON.stringify(id) : String(id));
