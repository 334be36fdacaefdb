import { strideOf } from './kernel-memory.ts';
import type { Random } from './random.ts';

/** Vectors padded with zeros to their stride: f32 [count x stride]. */
export interface Points {
  rows: Float32Array;
  count: number;
  stride: number;
}

export function points(random: Random, count: number, dimensions: number, whole: boolean): Points {
  const stride = strideOf(dimensions);
  return {
    rows: whole ? random.integers(count, dimensions, stride) : random.normals(count, dimensions, stride),
    count,
    stride,
  };
}

export const rowOf = ({ rows, stride }: Points, i: number): Float32Array => rows.subarray(i * stride, (i + 1) * stride);

export function distance(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, j) => sum + (x - b[j]!) ** 2, 0);
}
