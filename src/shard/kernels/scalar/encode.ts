import {
  MODEL_BLOCKS,
  MODEL_CENTROIDS,
  MODEL_CODEBOOKS,
  MODEL_DIMENSIONS_PER_BLOCK,
  MODEL_MEAN,
  MODEL_STRIDE,
} from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';
import { argmin16 } from './codebook.ts';
import { dot } from './vector.ts';

const fround = Math.fround;
const ROUNDS = 4; // of coordinate descent; most codes are stable after two
const ENTRY = 32; // floats per subspace of the scratch table: 16 squared errors, then 16 errors along the vector

/** Fills one subspace's entry: what each of its 16 codes would leave of the residual of numbers [from, from + dims). */
function fillEntry(
  f32: Float32Array,
  at: number,
  row: number,
  mean: number,
  centroid: number,
  centres: number,
  dims: number,
  direction: number,
): void {
  f32.fill(0, at, at + ENTRY);
  for (let j = 0; j < dims; j++) {
    const value = f32[row + j]!;
    const x = fround(value * direction);
    const r = fround(fround(value - f32[mean + j]!) - f32[centroid + j]!);
    for (let k = 0; k < 16; k++) {
      const d = fround(r - f32[centres + j * 16 + k]!);
      f32[at + k] = f32[at + k]! + fround(d * d);
      f32[at + 16 + k] = f32[at + 16 + k]! + fround(d * x);
    }
  }
}

/**
 * Score-aware (anisotropic) encoding by coordinate descent: minimises |e|^2 + weight x (e . x)^2 / |x|^2 over the codes of a
 * vector, where e is what the codes leave of its residual (Guo et al. 2020; weight is eta - 1). weight 0 is plain encoding.
 * rows f32 [count x stride], leaves u32 [count] -> codes u8 [count x ceil(blocks / 2)], even subspaces in the low nibble;
 * biases f32 [count]: c . r + |r|^2 / 2 of the decoded residual r, which makes a dot product a squared distance.
 * scratch: f32 [blocks x 32] + u8 [blocks].
 */
export function encodeRows(
  views: Views,
  model: number,
  rows: number,
  count: number,
  leaves: number,
  weight: number,
  codes: number,
  biases: number,
  scratch: number,
): void {
  const { f32, u8, u32 } = views;
  const stride = u32[(model + MODEL_STRIDE) >>> 2]!;
  const blocks = u32[(model + MODEL_BLOCKS) >>> 2]!;
  const dims = u32[(model + MODEL_DIMENSIONS_PER_BLOCK) >>> 2]!;
  const centroids = u32[(model + MODEL_CENTROIDS) >>> 2]! >>> 2;
  const mean = u32[(model + MODEL_MEAN) >>> 2]! >>> 2;
  const codebooks = u32[(model + MODEL_CODEBOOKS) >>> 2]! >>> 2;
  const table = scratch >>> 2;
  const chosen = (scratch >>> 0) + blocks * ENTRY * 4;
  let code = codes >>> 0;
  for (let i = 0; i < count; i++) {
    const row = (rows >>> 2) + i * stride;
    const centroid = centroids + u32[(leaves >>> 2) + i]! * stride;
    const norm = dot(views, row * 4, row * 4, stride);
    const direction = norm > 0 ? fround(1 / fround(Math.sqrt(norm))) : 0;
    let parallel = 0;
    for (let m = 0; m < blocks; m++) {
      const from = m * dims;
      const at = table + m * ENTRY;
      fillEntry(f32, at, row + from, mean + from, centroid + from, codebooks + from * 16, dims, direction);
      const best = argmin16(f32, at);
      u8[chosen + m] = best;
      parallel = fround(parallel + f32[at + 16 + best]!);
    }
    if (fround(weight) > 0) descend(views, table, chosen, blocks, parallel, fround(weight));
    f32[(biases >>> 2) + i] = decodedBias(views, codebooks, chosen, centroid, blocks, dims);
    for (let m = 0; m < blocks; m += 2) {
      u8[code++] = u8[chosen + m]! | (m + 1 < blocks ? u8[chosen + m + 1]! << 4 : 0);
    }
  }
}

function descend(views: Views, table: number, chosen: number, blocks: number, parallel: number, weight: number): void {
  const { f32, u8 } = views;
  for (let round = 0; round < ROUNDS; round++) {
    let changed = false;
    for (let m = 0; m < blocks; m++) {
      const at = table + m * ENTRY;
      const code = u8[chosen + m]!;
      const rest = fround(parallel - f32[at + 16 + code]!);
      let best = 0;
      let least = Infinity;
      for (let k = 0; k < 16; k++) {
        const q = fround(rest + f32[at + 16 + k]!);
        const loss = fround(f32[at + k]! + fround(weight * fround(q * q)));
        if (loss < least) {
          least = loss;
          best = k;
        }
      }
      parallel = fround(rest + f32[at + 16 + best]!);
      if (best !== code) {
        u8[chosen + m] = best;
        changed = true;
      }
    }
    if (!changed) return;
  }
}

function decodedBias(
  views: Views,
  codebooks: number,
  chosen: number,
  centroid: number,
  blocks: number,
  dims: number,
): number {
  const { f32, u8 } = views;
  let bias = 0;
  for (let m = 0; m < blocks; m++) {
    const centre = codebooks + m * dims * 16 + u8[chosen + m]!;
    for (let j = 0; j < dims; j++) {
      const r = f32[centre + j * 16]!;
      bias = fround(bias + fround(r * fround(f32[centroid + m * dims + j]! + fround(r * 0.5))));
    }
  }
  return bias;
}

/** Writes one vector's packed codes u8 [ceil(blocks / 2)] into a lane of a block. */
export function placeCodes(views: Views, codes: number, blocks: number, block: number, lane: number): void {
  const { u8 } = views;
  const shift = lane & 16 ? 4 : 0;
  const keep = lane & 16 ? 0x0f : 0xf0;
  let at = (block >>> 0) + (lane & 15);
  for (let m = 0; m < blocks; m++, at += 16) {
    const pair = u8[(codes >>> 0) + (m >> 1)]!;
    u8[at] = (u8[at]! & keep) | ((m & 1 ? pair >> 4 : pair & 0x0f) << shift);
  }
}
