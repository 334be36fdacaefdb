// Matrix products and row operations of the towers' layers. Every element of a product adds up in the order of the shared
// dimension, one f32 addition per step, so neither tiles nor the slices that callers cut change its bits.

// 4 rows x 8 columns of the product.
function tile4(a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize, out: usize, outRow: usize, k: i32): void {
  let p = a + aRow, q = p + aRow, r = q + aRow;
  const out1 = out + outRow, out2 = out1 + outRow, out3 = out2 + outRow;
  let c0 = v128.load(out), c1 = v128.load(out, 16);
  let d0 = v128.load(out1), d1 = v128.load(out1, 16);
  let e0 = v128.load(out2), e1 = v128.load(out2, 16);
  let f0 = v128.load(out3), f1 = v128.load(out3, 16);
  for (; k > 0; k--) {
    const x = v128.load(b), y = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c0 = f32x4.add(c0, f32x4.mul(s, x)); c1 = f32x4.add(c1, f32x4.mul(s, y));
    s = v128.load32_splat(p);
    d0 = f32x4.add(d0, f32x4.mul(s, x)); d1 = f32x4.add(d1, f32x4.mul(s, y));
    s = v128.load32_splat(q);
    e0 = f32x4.add(e0, f32x4.mul(s, x)); e1 = f32x4.add(e1, f32x4.mul(s, y));
    s = v128.load32_splat(r);
    f0 = f32x4.add(f0, f32x4.mul(s, x)); f1 = f32x4.add(f1, f32x4.mul(s, y));
    a += aStep; p += aStep; q += aStep; r += aStep; b += bStep;
  }
  v128.store(out, c0); v128.store(out, c1, 16);
  v128.store(out1, d0); v128.store(out1, d1, 16);
  v128.store(out2, e0); v128.store(out2, e1, 16);
  v128.store(out3, f0); v128.store(out3, f1, 16);
}

// 1 row x 8 columns, with the additions of the tile above.
function tile1(a: usize, aStep: usize, b: usize, bStep: usize, out: usize, k: i32): void {
  let c0 = v128.load(out), c1 = v128.load(out, 16);
  for (; k > 0; k--) {
    const s = v128.load32_splat(a);
    c0 = f32x4.add(c0, f32x4.mul(s, v128.load(b))); c1 = f32x4.add(c1, f32x4.mul(s, v128.load(b, 16)));
    a += aStep; b += bStep;
  }
  v128.store(out, c0); v128.store(out, c1, 16);
}

// m rows x 8 columns.
// @ts-ignore: decorator
@inline function rowsOfPanel(a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize, out: usize, outRow: usize, m: i32, k: i32): void {
  for (; m >= 4; m -= 4) {
    tile4(a, aRow, aStep, b, bStep, out, outRow, k);
    a += aRow << 2; out += outRow << 2;
  }
  for (; m > 0; m--) {
    tile1(a, aStep, b, bStep, out, k);
    a += aRow; out += outRow;
  }
}

/**
 * Adds a product to what out holds: out[i][j] += A[i][0] * B[0][j] + ... + A[i][k - 1] * B[k - 1][j], one addition after the
 * other in that order, so that k may be cut into several calls. n is a multiple of 8. Distances are in bytes:
 * f32 A [m x k], A[i][t] at a + i * aRow + t * aStep, so that it can be read transposed;
 * f32 B [k x n], B[t][j] at b + (j / 8) * bPanel + t * bStep + (j % 8) * 4, as rows (bPanel = 32) or as panels (bStep = 32);
 * f32 out [m x n], out[i][j] at out + i * outRow + j * 4.
 */
export function matmul(a: usize, aRow: usize, aStep: usize, b: usize, bStep: usize, bPanel: usize, out: usize, outRow: usize, m: i32, n: i32, k: i32): void {
  // The longer side goes round the outer loop: it is read once, and the shorter one stays in the first-level cache.
  const rows = m > n ? 4 : m;
  for (let i = 0; i < m; i += rows) {
    const height = min(rows, m - i);
    let panel = b, to = out;
    for (let j = 0; j < n; j += 8) {
      rowsOfPanel(a, aRow, aStep, panel, bStep, to, outRow, height, k);
      panel += bPanel; to += 32;
    }
    a += aRow * <usize>rows; out += outRow * <usize>rows;
  }
}

/**
 * Lays rows f32 [count x stride] as the panels of their transpose, for use as the B of matmul:
 * out f32 [ceil(count / 8)][stride][8], out[p][t][l] = rows[8 * p + l][t], zeros beyond the last row.
 */
export function packPanels(rows: usize, count: i32, stride: i32, out: usize): void {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i += 8) {
    if (count - i < 8) memory.fill(out, 0, bytes << 3);
    for (let l = 0, used = min(8, count - i); l < used; l++) {
      let to = out + (<usize>l << 2);
      for (const end = rows + bytes; rows < end; rows += 4, to += 32) store<f32>(to, load<f32>(rows));
    }
    out += bytes << 3;
  }
}

// @ts-ignore: decorator
@inline function copyRow(row: usize, bytes: usize, out: usize): void {
  for (let k: usize = 0; k < bytes; k += 16) v128.store(out + k, v128.load(row + k));
}

// @ts-ignore: decorator
@inline function addRow(row: usize, bytes: usize, out: usize): void {
  for (let k: usize = 0; k < bytes; k += 16) v128.store(out + k, f32x4.add(v128.load(out + k), v128.load(row + k)));
}

/** Fills out f32 [count x stride] with one row f32 [stride], or with zeros where `row` is null. stride is a multiple of 4. */
export function fillRows(row: usize, stride: i32, count: i32, out: usize): void {
  const bytes = <usize>stride << 2;
  if (!row) { memory.fill(out, 0, bytes * <usize>count); return; }
  for (let i = 0; i < count; i++, out += bytes) copyRow(row, bytes, out);
}

/** Sets the numbers below zero of f32 [words] to zero; what is not a number stays so, and so does -0. words is a multiple of 4. */
export function relu(x: usize, words: i32): void {
  const zero = f32x4.splat(0);
  for (const end = x + (<usize>words << 2); x < end; x += 16) v128.store(x, f32x4.pmax(v128.load(x), zero));
}

/** Sets gradient f32 [words] to zero wherever output f32 [words], of relu, is not above zero. words is a multiple of 4. */
export function reluGradient(gradient: usize, output: usize, words: i32): void {
  const zero = f32x4.splat(0);
  for (const end = gradient + (<usize>words << 2); gradient < end; gradient += 16, output += 16) {
    v128.store(gradient, v128.and(v128.load(gradient), f32x4.gt(v128.load(output), zero)));
  }
}

/** Adds rows f32 [count x stride] to out f32 [stride], one after the other. stride is a multiple of 4. */
export function addRows(rows: usize, stride: i32, count: i32, out: usize): void {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i++, rows += bytes) addRow(rows, bytes, out);
}

/** Sum of the listed rows, in the order of the list, from zero. list u32 [count] -> out f32 [stride], a multiple of 4 */
export function sumOfRows(rows: usize, stride: i32, list: usize, count: i32, out: usize): void {
  const bytes = <usize>stride << 2;
  memory.fill(out, 0, bytes);
  for (let i = 0; i < count; i++) addRow(rows + <usize>load<u32>(list + (<usize>i << 2)) * bytes, bytes, out);
}

/**
 * Copies the listed rows of a table f32 [any x stride] to rows that lie outRow bytes apart. stride is a multiple of 4.
 * list u32 [count] -> out f32 [count x stride]
 */
export function gatherRows(table: usize, stride: i32, list: usize, count: i32, out: usize, outRow: usize): void {
  const bytes = <usize>stride << 2;
  for (let i = 0; i < count; i++, out += outRow) copyRow(table + <usize>load<u32>(list + (<usize>i << 2)) * bytes, bytes, out);
}
