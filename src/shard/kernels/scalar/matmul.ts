import type { Views } from '../../views.ts';

const fround = Math.fround;

/**
 * Adds a product to what out holds: out[i][j] += A[i][0] * B[0][j] + ... + A[i][k - 1] * B[k - 1][j], one addition after the
 * other in that order, so that k may be cut into several calls. n is a multiple of 8. Distances are in bytes:
 * f32 A [m x k], A[i][t] at a + i * aRow + t * aStep, so that it can be read transposed;
 * f32 B [k x n], B[t][j] at b + (j / 8) * bPanel + t * bStep + (j % 8) * 4, as rows (bPanel = 32) or as panels (bStep = 32);
 * f32 out [m x n], out[i][j] at out + i * outRow + j * 4.
 */
export function matmul(
  views: Views,
  a: number,
  aRow: number,
  aStep: number,
  b: number,
  bStep: number,
  bPanel: number,
  out: number,
  outRow: number,
  m: number,
  n: number,
  k: number,
): void {
  const { f32 } = views;
  for (let i = 0; i < m; i++) {
    const x = (a >>> 2) + i * (aRow >>> 2);
    const to = (out >>> 2) + i * (outRow >>> 2);
    for (let j = 0; j < n; j += 8) {
      const panel = (b >>> 2) + (j >>> 3) * (bPanel >>> 2);
      addPanel(f32, x, aStep >>> 2, panel, bStep >>> 2, to + j, k);
    }
  }
}

/** Eight columns of one row of the product. */
function addPanel(
  f32: Float32Array,
  x: number,
  xStep: number,
  panel: number,
  panelStep: number,
  to: number,
  k: number,
): void {
  let s0 = f32[to]!;
  let s1 = f32[to + 1]!;
  let s2 = f32[to + 2]!;
  let s3 = f32[to + 3]!;
  let s4 = f32[to + 4]!;
  let s5 = f32[to + 5]!;
  let s6 = f32[to + 6]!;
  let s7 = f32[to + 7]!;
  for (let t = 0; t < k; t++, x += xStep, panel += panelStep) {
    const s = f32[x]!;
    s0 = fround(s0 + fround(s * f32[panel]!));
    s1 = fround(s1 + fround(s * f32[panel + 1]!));
    s2 = fround(s2 + fround(s * f32[panel + 2]!));
    s3 = fround(s3 + fround(s * f32[panel + 3]!));
    s4 = fround(s4 + fround(s * f32[panel + 4]!));
    s5 = fround(s5 + fround(s * f32[panel + 5]!));
    s6 = fround(s6 + fround(s * f32[panel + 6]!));
    s7 = fround(s7 + fround(s * f32[panel + 7]!));
  }
  f32[to] = s0;
  f32[to + 1] = s1;
  f32[to + 2] = s2;
  f32[to + 3] = s3;
  f32[to + 4] = s4;
  f32[to + 5] = s5;
  f32[to + 6] = s6;
  f32[to + 7] = s7;
}

/**
 * Lays rows f32 [count x stride] as the panels of their transpose, for use as the B of matmul:
 * out f32 [ceil(count / 8)][stride][8], out[p][t][l] = rows[8 * p + l][t], zeros beyond the last row.
 */
export function packPanels(views: Views, rows: number, count: number, stride: number, out: number): void {
  const { f32 } = views;
  const from = rows >>> 2;
  for (let i = 0; i < count; i += 8) {
    const to = (out >>> 2) + i * stride;
    if (count - i < 8) f32.fill(0, to, to + 8 * stride);
    for (let l = 0; l < 8 && i + l < count; l++) {
      for (let t = 0; t < stride; t++) f32[to + 8 * t + l] = f32[from + (i + l) * stride + t]!;
    }
  }
}

function addRow(f32: Float32Array, row: number, stride: number, out: number): void {
  for (let j = 0; j < stride; j++) f32[out + j] = f32[out + j]! + f32[row + j]!;
}

/** Fills out f32 [count x stride] with one row f32 [stride], or with zeros where `row` is null. stride is a multiple of 4. */
export function fillRows(views: Views, row: number, stride: number, count: number, out: number): void {
  const { f32 } = views;
  const from = row >>> 2;
  const to = out >>> 2;
  if (row === 0) f32.fill(0, to, to + count * stride);
  else for (let i = 0; i < count; i++) f32.copyWithin(to + i * stride, from, from + stride);
}

/** Sets the numbers below zero of f32 [words] to zero; what is not a number stays so, and so does -0. words is a multiple of 4. */
export function relu(views: Views, x: number, words: number): void {
  const { f32 } = views;
  for (let at = x >>> 2, end = at + words; at < end; at++) if (f32[at]! < 0) f32[at] = 0;
}

/** Sets gradient f32 [words] to zero wherever output f32 [words], of relu, is not above zero. words is a multiple of 4. */
export function reluGradient(views: Views, gradient: number, output: number, words: number): void {
  const { f32 } = views;
  const at = gradient >>> 2;
  const y = output >>> 2;
  for (let j = 0; j < words; j++) if (!(f32[y + j]! > 0)) f32[at + j] = 0;
}

/** Adds rows f32 [count x stride] to out f32 [stride], one after the other. stride is a multiple of 4. */
export function addRows(views: Views, rows: number, stride: number, count: number, out: number): void {
  for (let i = 0; i < count; i++) addRow(views.f32, (rows >>> 2) + i * stride, stride, out >>> 2);
}

/** Sum of the listed rows, in the order of the list, from zero. list u32 [count] -> out f32 [stride], a multiple of 4 */
export function sumOfRows(views: Views, rows: number, stride: number, list: number, count: number, out: number): void {
  const { f32, u32 } = views;
  const to = out >>> 2;
  f32.fill(0, to, to + stride);
  for (let i = 0; i < count; i++) addRow(f32, (rows >>> 2) + u32[(list >>> 2) + i]! * stride, stride, to);
}

/**
 * Copies the listed rows of a table f32 [any x stride] to rows that lie outRow bytes apart. stride is a multiple of 4.
 * list u32 [count] -> out f32 [count x stride]
 */
export function gatherRows(
  views: Views,
  table: number,
  stride: number,
  list: number,
  count: number,
  out: number,
  outRow: number,
): void {
  const { f32, u32 } = views;
  for (let i = 0; i < count; i++) {
    const from = (table >>> 2) + u32[(list >>> 2) + i]! * stride;
    f32.copyWithin((out >>> 2) + i * (outRow >>> 2), from, from + stride);
  }
}
