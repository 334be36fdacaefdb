import type { StagedLanes } from '../protocol/messages.ts';
import {
  CODEC_FLOAT32,
  CODEC_NONE,
  MODEL_BLOCKS,
  RESERVED_BYTES,
  SHARD_CODEC,
  SHARD_LANES_PER_VECTOR,
  SHARD_NUM_LEAVES,
  SHARD_ROW_BYTES,
  SHARD_STRIDE,
} from '../protocol/shard-layout.ts';
import { align } from './arena.ts';
import { lanesBytes, layLanes } from './staged-rows.ts';
import type { Views } from './views.ts';

/** The form in which an index stores vectors. */
export interface StoredForm {
  readonly stride: number;
  readonly codec: number;
  /** Bytes of a stored vector; 0 if none is stored. */
  readonly rowBytes: number;
  /** 0 without tree and hashing: then vectors have no lanes. */
  readonly numLeaves: number;
  /** Bytes of packed codes; 0 without hashing. */
  readonly codeBytes: number;
  readonly spills: boolean;
}

/** Vectors in the form in which they are stored, in a slot. Pointers; the lanes are null where there are none. */
export interface EncodedRows {
  readonly lanes: StagedLanes | null;
  readonly spilled: StagedLanes | null;
  /** f32 [count], for int8 only. */
  readonly scales: number;
  /** [count x rowBytes] */
  readonly vectors: number;
  readonly end: number;
}

/** What any memory of an index, and its model, say of how it stores vectors. */
export function storedForm(shard: Views, control: Views, model: number): StoredForm {
  const header = (word: number): number => shard.u32[(RESERVED_BYTES + word) >>> 2]!;
  return {
    stride: header(SHARD_STRIDE),
    codec: header(SHARD_CODEC),
    rowBytes: header(SHARD_ROW_BYTES),
    numLeaves: header(SHARD_NUM_LEAVES),
    codeBytes: model === 0 ? 0 : Math.ceil(control.u32[(model + MODEL_BLOCKS) >>> 2]! / 2),
    spills: header(SHARD_LANES_PER_VECTOR) > 1,
  };
}

/** Where the encoded form of `count` vectors goes, from `at` on; `rows` are the vectors as float32. */
export function layEncodedRows(at: number, rows: number, count: number, form: StoredForm): EncodedRows {
  let end = at;
  const take = (bytes: number): number => {
    const start = end;
    end += align(bytes);
    return start;
  };
  const { codec, codeBytes, rowBytes, numLeaves, spills } = form;
  const lanes = (): StagedLanes => layLanes(take(lanesBytes(count, codeBytes)), count);
  return {
    lanes: numLeaves > 0 ? lanes() : null,
    spilled: spills ? lanes() : null,
    scales: take(count * 4),
    vectors: codec === CODEC_FLOAT32 || codec === CODEC_NONE ? rows : take(count * rowBytes),
    end,
  };
}
