import { describe, expect, it } from 'vitest';
import { CODEC_BFLOAT16, CODEC_INT8 } from '../../../src/protocol/shard-layout.ts';
import { COUNTS, DIMENSIONS, onEveryTier, strideOf } from '../../support/kernel-memory.ts';
import { Random } from '../../support/random.ts';

describe('firstInvalidRow', () => {
  function firstInvalid(rows: Float32Array, count: number, stride: number): number {
    return onEveryTier((kernels, arena) => kernels.firstInvalidRow(arena.put(rows), count, stride, 1e17));
  }

  it.each(DIMENSIONS)('names the first bad row of %i dimensions', (dimensions) => {
    const stride = strideOf(dimensions);
    const rows = new Random(dimensions).normals(33, dimensions, stride);
    rows[3 * stride] = -1e17;
    expect(firstInvalid(rows, 33, stride)).toBe(-1);
    expect(firstInvalid(rows, 0, stride)).toBe(-1);
    for (const bad of [Number.NaN, Infinity, -Infinity, 1e18, -1e18]) {
      for (const row of [0, 1, 15, 32]) {
        const spoilt = rows.slice();
        spoilt[row * stride + dimensions - 1] = bad;
        spoilt[32 * stride] = Number.NaN;
        expect(firstInvalid(spoilt, 33, stride)).toBe(row);
      }
    }
  });
});

describe('normalizeRows', () => {
  it.each(DIMENSIONS)('scales rows of %i dimensions to norm 1', (dimensions) => {
    const stride = strideOf(dimensions);
    for (const count of [0, ...COUNTS]) {
      const rows = new Random(count).normals(count, dimensions, stride);
      const { zero, out } = onEveryTier((kernels, arena) => {
        const at = arena.put(rows);
        return { zero: kernels.normalizeRows(at, count, stride), out: arena.f32(at, rows.length).slice() };
      });
      expect(zero).toBe(-1);
      let worst = 0;
      for (let i = 0; i < count; i++) {
        const before = rows.subarray(i * stride, (i + 1) * stride);
        const norm = Math.hypot(...before);
        before.forEach((x, j) => {
          worst = Math.max(worst, Math.abs(out[i * stride + j]! - x / norm));
        });
      }
      expect(worst).toBeLessThanOrEqual(2 ** -24);
    }
  });

  it('scales the tiniest and largest rows, whose squares do not fit f32', () => {
    const rows = Float32Array.of(3e-30, 4e-30, 0, 0, 0, 6e16, 8e16, 0);
    const out = onEveryTier((kernels, arena) => {
      const at = arena.put(rows);
      expect(kernels.normalizeRows(at, 2, 4)).toBe(-1);
      return [...arena.f32(at, 8)];
    });
    expect(out).toEqual([0.6, 0.8, 0, 0, 0, 0.6, 0.8, 0].map(Math.fround));
  });

  it('returns the first zero row', () => {
    const rows = new Random(2).normals(17, 5, 8);
    rows.fill(0, 8 * 9, 8 * 10);
    rows.fill(-0, 8 * 12, 8 * 13);
    expect(onEveryTier((kernels, arena) => kernels.normalizeRows(arena.put(rows), 17, 8))).toBe(9);
    rows[8 * 9 + 2] = 1e-30;
    expect(onEveryTier((kernels, arena) => kernels.normalizeRows(arena.put(rows), 17, 8))).toBe(12);
  });
});

describe('compressRows', () => {
  it.each(DIMENSIONS)('keeps bfloat16 of %i dimensions within half a unit', (dimensions) => {
    const stride = strideOf(dimensions);
    for (const count of [0, ...COUNTS]) {
      const rows = new Random(count).normals(count, dimensions, stride);
      const stored = onEveryTier((kernels, arena) => {
        const at = arena.put(rows);
        const out = arena.alloc(rows.length * 2);
        kernels.compressRows(at, count, stride, CODEC_BFLOAT16, out, 0);
        return arena.u16(out, rows.length).slice();
      });
      const decoded = new Float32Array(Uint32Array.from(stored, (x) => x << 16).buffer);
      let worst = 0;
      rows.forEach((x, k) => {
        if (x !== 0) worst = Math.max(worst, Math.abs(decoded[k]! - x) / Math.abs(x));
      });
      expect(worst).toBeLessThanOrEqual(2 ** -8);
    }
  });

  it('rounds bfloat16 to nearest even', () => {
    const bits = Uint32Array.of(0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0xbf807fff, 0x80000000, 0x3fffffff, 0);
    const stored = onEveryTier((kernels, arena) => {
      const out = arena.alloc(16);
      kernels.compressRows(arena.put(bits), 1, 8, CODEC_BFLOAT16, out, 0);
      return [...arena.u16(out, 8)];
    });
    expect(stored).toEqual([0x3f80, 0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x8000, 0x4000, 0]);
  });

  function toInt8(rows: Float32Array, count: number, stride: number): { units: Int8Array; scales: Float32Array } {
    return onEveryTier((kernels, arena) => {
      const at = arena.put(rows);
      const out = arena.alloc(rows.length);
      const scales = arena.alloc(count * 4);
      kernels.compressRows(at, count, stride, CODEC_INT8, out, scales);
      return { units: arena.i8(out, rows.length).slice(), scales: arena.f32(scales, count).slice() };
    });
  }

  it.each(DIMENSIONS)('keeps int8 of %i dimensions within half a step', (dimensions) => {
    const stride = strideOf(dimensions);
    for (const count of [0, ...COUNTS]) {
      const rows = new Random(count).normals(count, dimensions, stride);
      const { units, scales } = toInt8(rows, count, stride);
      for (let i = 0; i < count; i++) {
        const row = rows.subarray(i * stride, (i + 1) * stride);
        expect(scales[i]).toBe(Math.fround(row.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / Math.fround(127)));
        const steps = row.map((x, j) => Math.abs(units[i * stride + j]! - x / scales[i]!));
        expect(Math.max(...steps)).toBeLessThanOrEqual(0.5001);
      }
    }
  });

  it('rounds values about halfway between int8 steps alike on every tier', () => {
    const random = new Random(14);
    for (let trial = 0; trial < 50; trial++) {
      const scale = Math.fround(Math.exp(random.normal()));
      const rows = Float32Array.from(
        { length: 256 },
        (_, j) => (j === 0 ? 127 : (j >> 1) - 63.5) * scale * (1 - (j & 1) * 2 ** -24),
      );
      expect(toInt8(rows, 1, 256).units[0]).toBe(127);
    }
  });

  it('stores zero rows, and rows too small to have a scale, as zeros', () => {
    const { units, scales } = toInt8(Float32Array.of(0, -0, 0, 0, 1e-45, 0, 0, -1e-45), 2, 4);
    expect([...units]).toEqual(new Array(8).fill(0));
    expect([...scales]).toEqual([0, 0]);
  });
});
