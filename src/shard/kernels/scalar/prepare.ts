import {
  LUT_GROUP,
  METRIC_L2,
  MODEL_BIAS_MINIMUM,
  MODEL_BIAS_RANGE,
  MODEL_BLOCKS,
  MODEL_CODEBOOKS,
  MODEL_DIMENSIONS_PER_BLOCK,
  MODEL_MEAN,
  MODEL_METRIC,
  MODEL_STRIDE,
  MODEL_SUBSPACES,
  TABLES_BIAS_MULTIPLIER,
  TABLES_HEADER_BYTES,
  TABLES_INVERSE_SCALE,
  TABLES_OFFSET,
  TABLES_QUERY_NORM,
  TABLES_SCALE,
} from '../../../protocol/shard-layout.ts';
import type { Views } from '../../views.ts';
import { chooseLeaves } from './route.ts';
import { dot } from './vector.ts';

const fround = Math.fround;
const NARROWEST = fround(1e-30); // LUT entries that span less are all taken as equal

/**
 * Chooses leaves and builds the LUT of one query.
 * tables: query tables with the query filled in, f32 [stride]; the LUT behind it and the header are written here.
 * leaves: room for numLeavesToSearch entries, best first.
 * scratch: as the vector code has it.
 */
export function prepareQuery(
  views: Views,
  model: number,
  tables: number,
  leaves: number,
  numLeavesToSearch: number,
  scratch: number,
): void {
  const { f32, u32 } = views;
  const stride = u32[(model + MODEL_STRIDE) >>> 2]!;
  const query = tables + TABLES_HEADER_BYTES;
  let routed = query;
  let free = scratch;
  f32[(tables + TABLES_QUERY_NORM) >>> 2] = 0;
  if (u32[(model + MODEL_METRIC) >>> 2] === METRIC_L2) {
    routed = scratch;
    free += stride * 4;
    const mean = u32[(model + MODEL_MEAN) >>> 2]! >>> 2;
    for (let j = 0; j < stride; j++) f32[(routed >>> 2) + j] = f32[(query >>> 2) + j]! - f32[mean + j]!;
    f32[(tables + TABLES_QUERY_NORM) >>> 2] = dot(views, routed, routed, stride);
  }
  buildLut(views, model, tables, routed >>> 2, query + stride * 4, free >>> 2);
  chooseLeaves(views, model, routed, leaves, numLeavesToSearch, free);
}

// What rounding may add to the entries of a group, and a bit more for that of the products themselves.
const ROUNDING = LUT_GROUP / 2 + 1;
// Ranges are added up as shares of a group, lest the sum overflow where none of them does.
const SHARE = 1 / LUT_GROUP;

// Every subspace's entries are shifted to start at 0 and share one scale, so that scores compare across leaves, the finest at which
// no group's entries add up to more than fits:
// score = base + offset + units x inverseScale.
function buildLut(views: Views, model: number, tables: number, query: number, lut: number, table: number): void {
  const { f32, i32, u8, u32 } = views;
  const blocks = u32[(model + MODEL_BLOCKS) >>> 2]!;
  const subspaces = u32[(model + MODEL_SUBSPACES) >>> 2]!;
  const dims = u32[(model + MODEL_DIMENSIONS_PER_BLOCK) >>> 2]!;
  const codebooks = u32[(model + MODEL_CODEBOOKS) >>> 2]! >>> 2;
  let widest = 0;
  let span = 0;
  let offset = 0;
  f32.fill(0, table, table + blocks * 16);
  for (let m = 0; m < blocks; m++) {
    const at = table + m * 16;
    for (let j = m * dims; j < (m + 1) * dims; j++) {
      const q = f32[query + j]!;
      for (let k = 0; k < 16; k++) f32[at + k] = f32[at + k]! + fround(q * f32[codebooks + j * 16 + k]!);
    }
    let least = f32[at]!;
    let most = least;
    for (let k = 1; k < 16; k++) {
      least = Math.min(least, f32[at + k]!);
      most = Math.max(most, f32[at + k]!);
    }
    if (m % LUT_GROUP === 0) span = 0;
    span = fround(span + fround(fround(most - least) * SHARE));
    widest = Math.max(widest, span);
    offset = fround(offset + least);
    for (let k = 0; k < 16; k++) f32[at + k] = f32[at + k]! - least;
  }

  // What 8 bits hold, or less where the sum of all groups has to fit 15.
  const groupMax = Math.min(255, Math.floor(32767 / Math.max(1, Math.ceil(subspaces / LUT_GROUP))));
  const range = f32[(model + MODEL_BIAS_RANGE) >>> 2]!;
  const spread = widest > NARROWEST;
  let scale = spread ? fround(fround((groupMax - ROUNDING) * SHARE) / widest) : 1;
  if (range > 0) {
    const limit = fround(32000 / range);
    scale = spread ? Math.min(scale, limit) : limit;
  }
  const to = lut >>> 0;
  for (let k = 0; k < blocks * 16; k++) {
    const units = Math.min(Math.floor(fround(fround(f32[table + k]! * scale) + 0.5)), groupMax);
    u8[to + k] = Math.min(255, units); // truncates
  }
  u8.fill(0, to + blocks * 16, to + subspaces * 16);
  f32[(tables + TABLES_INVERSE_SCALE) >>> 2] = 1 / scale;
  f32[(tables + TABLES_SCALE) >>> 2] = scale;
  f32[(tables + TABLES_OFFSET) >>> 2] = offset - f32[(model + MODEL_BIAS_MINIMUM) >>> 2]!;
  i32[(tables + TABLES_BIAS_MULTIPLIER) >>> 2] = Math.min(0x7fffffff, Math.floor(fround(fround(range * scale) + 0.5)));
}
