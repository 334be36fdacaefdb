import { describe, expect, it } from 'vitest';
import { onEveryTier } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

const SIZES = [1, 7, 8, 9, 15, 16, 17, 31, 33, 97];
const EXTREMES = [NaN, Infinity, -Infinity, -0, 0, 1e-45, -1e-45, 3e38, -3e38, 1, -1];
const ceil8 = (n: number): number => Math.ceil(n / 8) * 8;

interface Product {
  m: number;
  n: number;
  k: number;
  /** Row-major [m x k], [k x n] and [m x n], without padding. */
  a: Float32Array;
  b: Float32Array;
  start: Float32Array;
}

function product(random: Random, m: number, n: number, k: number): Product {
  return { m, n, k, a: random.normals(m, k), b: random.normals(k, n), start: random.normals(m, n) };
}

interface Layout {
  transposed: boolean;
  packed: boolean;
  /** Floats that follow each row. */
  padding: number;
  /** Where k is cut into calls. */
  cut?: number;
}

/** Lays [rows x columns] with NaN as padding, transposed or not. */
function lay(x: Float32Array, rows: number, columns: number, padding: number, transposed = false): Float32Array {
  const stride = (transposed ? rows : columns) + padding;
  const laid = new Float32Array((transposed ? columns : rows) * stride).fill(NaN);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) laid[transposed ? j * stride + i : i * stride + j] = x[i * columns + j]!;
  }
  return laid;
}

function panelsOf(b: Float32Array, n: number, k: number): Float32Array {
  const panels = new Float32Array(n * k);
  for (let t = 0; t < k; t++) for (let j = 0; j < n; j++) panels[((j >> 3) * k + t) * 8 + (j & 7)] = b[t * n + j]!;
  return panels;
}

function multiply({ m, n, k, a, b, start }: Product, layout: Layout): number[] {
  const { transposed, packed, padding, cut = k } = layout;
  return onEveryTier((kernels, arena) => {
    const x = arena.put(lay(a, m, k, padding, transposed));
    const [aRow, aStep] = transposed ? [4, 4 * (m + padding)] : [4 * (k + padding), 4];
    const y = arena.put(packed ? panelsOf(b, n, k) : lay(b, k, n, padding));
    const [bStep, bPanel] = packed ? [32, 32 * k] : [4 * (n + padding), 32];
    const outRow = 4 * (n + padding);
    const out = arena.put(lay(start, m, n, padding));
    kernels.matmul(x, aRow, aStep, y, bStep, bPanel, out, outRow, m, n, cut);
    if (cut < k) {
      kernels.matmul(x + cut * aStep, aRow, aStep, y + cut * bStep, bStep, bPanel, out, outRow, m, n, k - cut);
    }
    const found = Array.from({ length: m }, (_, i) => [...arena.f32(out + i * outRow, n)]).flat();
    for (let i = 0; i < m; i++) {
      expect(arena.f32(out + i * outRow + 4 * n, padding).every(Number.isNaN), 'what follows a row').toBe(true);
    }
    return found;
  });
}

/** The documented order: one rounded product and one rounded sum per step. */
function inOrder({ m, n, k, a, b, start }: Product): number[] {
  const out = [...start];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let t = 0; t < k; t++) {
        out[i * n + j] = Math.fround(out[i * n + j]! + Math.fround(a[i * k + t]! * b[t * n + j]!));
      }
    }
  }
  return out;
}

describe('matmul', () => {
  it.each(SIZES)('adds products of %i rows in the order of k, however matrices are laid and k is cut', (m) => {
    const random = new Random(m);
    for (const k of SIZES) {
      for (const n of [8, 16, 24, 104]) {
        const p = product(random, m, n, k);
        const expected = inOrder(p);
        for (const transposed of [false, true]) {
          for (const packed of [false, true]) {
            for (const padding of [0, 4]) expect(multiply(p, { transposed, packed, padding })).toEqual(expected);
            expect(multiply(p, { transposed, packed, padding: 3, cut: k >> 1 })).toEqual(expected);
          }
        }
      }
    }
  });

  it.each(SIZES)('is near the product in f64 with %i rows', (m) => {
    const random = new Random(m);
    for (const k of SIZES) {
      const p = product(random, m, 16, k);
      multiply(p, { transposed: false, packed: false, padding: 4 }).forEach((found, at) => {
        const [i, j] = [Math.floor(at / p.n), at % p.n];
        let [sum, magnitude] = [p.start[at]!, Math.abs(p.start[at]!)];
        for (let t = 0; t < k; t++) {
          const term = p.a[i * k + t]! * p.b[t * p.n + j]!;
          sum += term;
          magnitude += Math.abs(term);
        }
        // k + 1 roundings, each of half a unit of 2^-23.
        expect(Math.abs(found - sum)).toBeLessThanOrEqual((k + 1) * 2 ** -24 * magnitude);
      });
    }
  });

  it('leaves what out holds when there is nothing to add', () => {
    const random = new Random(1);
    for (const [m, n, k] of [
      [0, 8, 4],
      [4, 0, 4],
      [5, 8, 0],
    ] as const) {
      const p = product(random, m, n, k);
      expect(multiply(p, { transposed: false, packed: true, padding: 4 })).toEqual([...p.start]);
    }
  });

  it('overflows to infinity and keeps subnormal numbers on every tier', () => {
    const p = { m: 5, n: 8, k: 2, a: new Float32Array(10), b: new Float32Array(16), start: new Float32Array(40) };
    p.a
      .fill(2e38)
      .subarray(0, 2)
      .fill(2 ** -140);
    p.b.fill(1.5);
    const found = multiply(p, { transposed: false, packed: false, padding: 0 });
    expect(found.slice(0, 8)).toEqual(Array(8).fill(3 * 2 ** -140));
    expect(found.slice(8)).toEqual(Array(32).fill(Infinity));
  });
});

describe('packPanels', () => {
  it.each(SIZES)('lays %i rows as panels of eight', (count) => {
    for (const stride of SIZES) {
      const rows = new Random(count).normals(count, stride);
      const found = onEveryTier((kernels, arena) => {
        const words = ceil8(count) * stride;
        const out = arena.put(new Float32Array(words).fill(NaN));
        kernels.packPanels(arena.put(rows), count, stride, out);
        return arena.f32(out, words).slice();
      });
      expect([...found]).toEqual(
        Array.from({ length: found.length }, (_, at) => {
          const [p, t, l] = [Math.floor(at / (8 * stride)), (at >> 3) % stride, at & 7];
          return rows[(8 * p + l) * stride + t] ?? 0;
        }),
      );
    }
  });

  it('makes matmul multiply by the transpose', () => {
    const random = new Random(9);
    const [m, n, k] = [5, 16, 9];
    const a = random.integers(m, k);
    const rows = random.integers(n, k);
    const found = onEveryTier((kernels, arena) => {
      const [panels, out] = [arena.alloc(4 * n * k), arena.alloc(4 * m * n)];
      kernels.packPanels(arena.put(rows), n, k, panels);
      kernels.matmul(arena.put(a), 4 * k, 4, panels, 32, 32 * k, out, 4 * n, m, n, k);
      return [...arena.f32(out, m * n)];
    });
    const expected = Array.from({ length: m * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return a.subarray(i * k, (i + 1) * k).reduce((sum, x, t) => sum + x * rows[j * k + t]!, 0);
    });
    expect(found).toEqual(expected);
  });
});

describe('fillRows', () => {
  it('repeats a row, or zeros where it is null', () => {
    for (const stride of [4, 12, 100]) {
      for (const count of [0, ...SIZES]) {
        const row = new Random(stride).normals(1, stride);
        const [rows, zeros] = onEveryTier((kernels, arena) => {
          const [out, cleared] = [row, row].map(() => arena.put(new Float32Array((count + 1) * stride).fill(7)));
          kernels.fillRows(arena.put(row), stride, count, out!);
          kernels.fillRows(0, stride, count, cleared!);
          return [out!, cleared!].map((at) => [...arena.f32(at, (count + 1) * stride)]);
        });
        const rest = Array(stride).fill(7);
        expect(rows).toEqual([...Array.from({ length: count }, () => [...row]).flat(), ...rest]);
        expect(zeros).toEqual([...Array(count * stride).fill(0), ...rest]);
      }
    }
  });
});

/** `words` numbers, the first of them extreme, with room for what a kernel must not touch. */
function numbers(random: Random, words: number, from = EXTREMES): Float32Array {
  const x = random.normals(1, words + 4);
  x.set(from.slice(0, words));
  return x;
}

const WORDS = [0, 4, 8, 12, 16, 20, 32, 36, 100];

describe('relu', () => {
  it.each(WORDS)('clears what is below zero of %i words', (words) => {
    const x = numbers(new Random(words), words);
    const found = onEveryTier((kernels, arena) => {
      const at = arena.put(x);
      kernels.relu(at, words);
      return [...arena.f32(at, words + 4)];
    });
    expect(found).toEqual([...x].map((value, j) => (j < words && value < 0 ? 0 : value)));
  });
});

describe('reluGradient', () => {
  it.each(WORDS)('clears %i words of the gradient where there was no output', (words) => {
    const random = new Random(words);
    const output = numbers(random, words);
    for (const gradient of [numbers(random, words, []), numbers(random, words, EXTREMES.toReversed())]) {
      const found = onEveryTier((kernels, arena) => {
        const at = arena.put(gradient);
        kernels.reluGradient(at, arena.put(output), words);
        return [...arena.f32(at, words + 4)];
      });
      expect(found).toEqual([...gradient].map((value, j) => (j >= words || output[j]! > 0 ? value : 0)));
    }
  });
});

describe('addRows, sumOfRows and gatherRows', () => {
  const table = new Random(3).normals(97, 100);

  it.each([4, 12, 32, 100])('add and copy rows of stride %i', (stride) => {
    const random = new Random(stride);
    const rowOf = (i: number): Float32Array => table.subarray(i * stride, (i + 1) * stride);
    const add = (sum: Float32Array, row: Float32Array): Float32Array => sum.map((x, j) => x + row[j]!);
    for (const count of [0, ...SIZES]) {
      const list = Uint32Array.from({ length: count }, () => random.int(0, 96));
      const start = random.normals(1, stride);
      const outRow = stride + 8;
      const found = onEveryTier((kernels, arena) => {
        const [rows, ids] = [arena.put(table), arena.put(list)];
        const [added, summed] = [arena.put(start), arena.put(start)];
        const gathered = arena.alloc(4 * count * outRow);
        kernels.addRows(rows, stride, count, added);
        kernels.sumOfRows(rows, stride, ids, count, summed);
        kernels.gatherRows(rows, stride, ids, count, gathered, 4 * outRow);
        return {
          added: arena.f32(added, stride).slice(),
          summed: arena.f32(summed, stride).slice(),
          gathered: Array.from({ length: count }, (_, i) => arena.f32(gathered + 4 * i * outRow, outRow).slice()),
        };
      });
      const first = Array.from({ length: count }, (_, i) => rowOf(i));
      expect([...found.added]).toEqual([...first.reduce(add, start)]);
      const listed = [...list].map(rowOf);
      expect([...found.summed]).toEqual([...listed.reduce(add, new Float32Array(stride))]);
      expect(found.gathered.map((row) => [...row])).toEqual(listed.map((row) => [...row, ...Array(8).fill(0)]));
    }
  });
});
