import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  decodeError,
  ERROR_CODES,
  type ErrorCode,
  encodeError,
  ScanneryError,
  show,
  WARNING_CODES,
} from '../../src/protocol/errors.ts';

const document = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const rows = document.split('\n').flatMap((line) => {
  const cells = line.split('|').map((cell) => cell.trim());
  const code = /^`(SCANNERY_\w+)`$/.exec(cells[1] ?? '')?.[1];
  return code === undefined ? [] : [[code, cells[2]] as const];
});

describe('docs/errors.md', () => {
  it('lists exactly the error codes, each with its meaning', () => {
    expect(Object.fromEntries(rows)).toEqual(ERROR_CODES);
    expect(rows).toHaveLength(Object.keys(ERROR_CODES).length);
  });

  it('lists exactly the warnings, each with its meaning', () => {
    const items = [...document.matchAll(/^- `(SCANNERY_\w+)`: (.*)$/gm)].map(([, code, meaning]) => [code, meaning]);
    expect(Object.fromEntries(items)).toEqual(WARNING_CODES);
  });

  it('names no other code', () => {
    const known = [...Object.keys(ERROR_CODES), ...Object.keys(WARNING_CODES), 'SCANNERY_KERNELS'];
    expect(known).toEqual(expect.arrayContaining(document.match(/SCANNERY_[A-Z_]+/g)!));
  });
});

describe('an error', () => {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];

  it('keeps code, message and row across a thread boundary', () => {
    for (const code of codes) {
      for (const details of [{}, { row: 0 }, { row: 7 }]) {
        const decoded = decodeError(structuredClone(encodeError(new ScanneryError(code, 'what happened', details))));
        expect(decoded).toBeInstanceOf(ScanneryError);
        expect(decoded).toMatchObject({ code, message: 'what happened', name: 'ScanneryError' });
        expect(decoded.row).toBe(details.row);
      }
    }
  });

  it('of another class arrives as a failure of the worker', () => {
    expect(encodeError(new TypeError('broken'))).toEqual({ code: 'SCANNERY_WORKER_FAILED', message: 'broken' });
    expect(encodeError('text')).toEqual({ code: 'SCANNERY_WORKER_FAILED', message: 'text' });
  });

  it('has the details that were given, and no others', () => {
    const cause = new Error('beneath');
    const full = new ScanneryError('SCANNERY_IO', 'm', { option: 'o', value: undefined, row: 0, path: '/p', cause });
    expect(full).toMatchObject({ option: 'o', value: undefined, row: 0, path: '/p' });
    expect(full.cause).toBe(cause);
    const { option, value, row, path, ...bare } = new ScanneryError('SCANNERY_IO', 'm');
    expect([option, value, row, path]).toEqual([undefined, undefined, undefined, undefined]);
    expect('cause' in bare).toBe(false);
  });
});

it.each([
  ['text', "'text'"],
  ['x'.repeat(50), `'${'x'.repeat(40)}…'`],
  [5, '5'],
  [5n, '5n'],
  [Number.NaN, 'NaN'],
  [null, 'null'],
  [undefined, 'undefined'],
  [true, 'true'],
  [[], 'an object (Array)'],
  [Object.create(null), 'an object (null prototype)'],
  [() => 1, 'a function'],
])('shows a value, %#', (value, expected) => {
  expect(show(value)).toBe(expected);
});
