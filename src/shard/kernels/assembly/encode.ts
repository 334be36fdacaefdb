import {
  MODEL_BLOCKS, MODEL_CENTROIDS, MODEL_CODEBOOKS, MODEL_DIMENSIONS_PER_BLOCK, MODEL_MEAN, MODEL_STRIDE,
} from "../../../protocol/shard-layout";
import { argmin16 } from "./codebook";
import { dot } from "./vector";

const ROUNDS = 4; // of coordinate descent; most codes are stable after two

/**
 * Score-aware (anisotropic) encoding by coordinate descent: minimises |e|^2 + weight x (e . x)^2 / |x|^2 over the codes of a
 * vector, where e is what the codes leave of its residual (Guo et al. 2020; weight is eta - 1). weight 0 is plain encoding.
 * rows f32 [count x stride], leaves u32 [count] -> codes u8 [count x ceil(blocks / 2)], even subspaces in the low nibble;
 * biases f32 [count]: c . r + |r|^2 / 2 of the decoded residual r, which makes a dot product a squared distance.
 * scratch: f32 [blocks x 32] + u8 [blocks].
 */
export function encodeRows(model: usize, rows: usize, count: i32, leaves: usize, weight: f32, codes: usize, biases: usize, scratch: usize): void {
  const stride = load<i32>(model, MODEL_STRIDE), blocks = load<i32>(model, MODEL_BLOCKS);
  const dims = load<i32>(model, MODEL_DIMENSIONS_PER_BLOCK);
  const centroids = <usize>load<u32>(model, MODEL_CENTROIDS), mean = <usize>load<u32>(model, MODEL_MEAN);
  const codebooks = <usize>load<u32>(model, MODEL_CODEBOOKS);
  const bytes = <usize>stride << 2;
  const chosen = scratch + (<usize>blocks << 7);
  for (let i = 0; i < count; i++) {
    const centroid = centroids + <usize>load<u32>(leaves + (<usize>i << 2)) * bytes;
    const norm = dot(rows, rows, stride);
    const direction: f32 = norm > 0 ? <f32>1 / sqrt<f32>(norm) : 0;
    let parallel: f32 = 0;
    for (let m = 0; m < blocks; m++) {
      let e0 = f32x4.splat(0), e1 = f32x4.splat(0), e2 = f32x4.splat(0), e3 = f32x4.splat(0);
      let p0 = f32x4.splat(0), p1 = f32x4.splat(0), p2 = f32x4.splat(0), p3 = f32x4.splat(0);
      let centres = codebooks + (<usize>(m * dims) << 6);
      for (let j = 0; j < dims; j++) {
        const at = <usize>(m * dims + j) << 2;
        const value = load<f32>(rows + at);
        const x = f32x4.splat(value * direction);
        const r = f32x4.splat(value - load<f32>(mean + at) - load<f32>(centroid + at));
        let d = f32x4.sub(r, v128.load(centres));
        e0 = f32x4.add(e0, f32x4.mul(d, d)); p0 = f32x4.add(p0, f32x4.mul(d, x));
        d = f32x4.sub(r, v128.load(centres, 16));
        e1 = f32x4.add(e1, f32x4.mul(d, d)); p1 = f32x4.add(p1, f32x4.mul(d, x));
        d = f32x4.sub(r, v128.load(centres, 32));
        e2 = f32x4.add(e2, f32x4.mul(d, d)); p2 = f32x4.add(p2, f32x4.mul(d, x));
        d = f32x4.sub(r, v128.load(centres, 48));
        e3 = f32x4.add(e3, f32x4.mul(d, d)); p3 = f32x4.add(p3, f32x4.mul(d, x));
        centres += 64;
      }
      const at = scratch + (<usize>m << 7);
      v128.store(at, e0); v128.store(at, e1, 16); v128.store(at, e2, 32); v128.store(at, e3, 48);
      v128.store(at, p0, 64); v128.store(at, p1, 80); v128.store(at, p2, 96); v128.store(at, p3, 112);
      const code = argmin16(e0, e1, e2, e3);
      store<u8>(chosen + m, code);
      parallel += load<f32>(at + 64 + (<usize>code << 2));
    }
    if (weight > 0) descend(scratch, chosen, blocks, parallel, weight);
    store<f32>(biases + (<usize>i << 2), decodedBias(codebooks, chosen, centroid, blocks, dims));
    for (let m = 0; m < blocks; m += 2) {
      let pair = load<u8>(chosen + m);
      if (m + 1 < blocks) pair |= load<u8>(chosen + m + 1) << 4;
      store<u8>(codes++, pair);
    }
    rows += bytes;
  }
}

function descend(table: usize, chosen: usize, blocks: i32, parallel: f32, weight: f32): void {
  const w = f32x4.splat(weight);
  for (let round = 0; round < ROUNDS; round++) {
    let changed = 0;
    for (let m = 0; m < blocks; m++) {
      const at = table + (<usize>m << 7);
      const code = load<u8>(chosen + m);
      const rest = parallel - load<f32>(at + 64 + (<usize>code << 2));
      const r = f32x4.splat(rest);
      const q0 = f32x4.add(r, v128.load(at, 64)), q1 = f32x4.add(r, v128.load(at, 80));
      const q2 = f32x4.add(r, v128.load(at, 96)), q3 = f32x4.add(r, v128.load(at, 112));
      const best = argmin16(
        f32x4.add(v128.load(at), f32x4.mul(w, f32x4.mul(q0, q0))), f32x4.add(v128.load(at, 16), f32x4.mul(w, f32x4.mul(q1, q1))),
        f32x4.add(v128.load(at, 32), f32x4.mul(w, f32x4.mul(q2, q2))), f32x4.add(v128.load(at, 48), f32x4.mul(w, f32x4.mul(q3, q3))),
      );
      parallel = rest + load<f32>(at + 64 + (<usize>best << 2));
      if (best != code) { store<u8>(chosen + m, best); changed++; }
    }
    if (!changed) return;
  }
}

function decodedBias(codebooks: usize, chosen: usize, centroid: usize, blocks: i32, dims: i32): f32 {
  let bias: f32 = 0;
  for (let m = 0; m < blocks; m++) {
    const centres = codebooks + (<usize>(m * dims) << 6) + (<usize>load<u8>(chosen + m) << 2);
    for (let j = 0; j < dims; j++) {
      const r = load<f32>(centres + (<usize>j << 6));
      bias += r * (load<f32>(centroid + (<usize>(m * dims + j) << 2)) + r * <f32>0.5);
    }
  }
  return bias;
}

/** Writes one vector's packed codes u8 [ceil(blocks / 2)] into a lane of a block. */
export function placeCodes(codes: usize, blocks: i32, block: usize, lane: i32): void {
  const shift = lane & 16 ? 4 : 0, keep: u8 = lane & 16 ? 0x0f : 0xf0;
  block += <usize>(lane & 15);
  for (let m = 0; m < blocks; m++) {
    const code = m & 1 ? load<u8>(codes + (m >> 1)) >> 4 : load<u8>(codes + (m >> 1)) & 0x0f;
    store<u8>(block, (load<u8>(block) & keep) | (code << <u8>shift));
    block += 16;
  }
}
