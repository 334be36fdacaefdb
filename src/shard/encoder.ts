import {
  ENCODER,
  ENCODER_CENTROIDS,
  ENCODER_LAMBDA,
  ENCODER_OFFSETS,
  ENCODER_PANELS,
  ENCODER_WEIGHT,
  SLOT_K,
  SLOT_MERGED,
  SLOT_TABLES,
} from '../protocol/control-layout.ts';
import type { StagedLanes } from '../protocol/messages.ts';
import { CODEC_FLOAT32, CODEC_NONE, TABLES_HEADER_BYTES } from '../protocol/shard-layout.ts';
import { chooseLeaves, type LeafChoice } from './choose-leaves.ts';
import { layEncodedRows, type StoredForm, storedForm } from './encoded-rows.ts';
import type { Kernels } from './kernels/kernels.ts';
import type { Views } from './views.ts';

/** Brings vectors that are to be added into the form in which they are stored, as a build does. */
export class RowEncoder {
  readonly #control: Views;
  readonly #kernels: Kernels;
  readonly #model: number;
  readonly #form: StoredForm;
  readonly #scratch: number;

  /** shard: any memory of the index. scratch: as layOutControl makes it, behind the room for a key. */
  constructor(control: Views, kernels: Kernels, model: number, shard: Views, scratch: number) {
    this.#control = control;
    this.#kernels = kernels;
    this.#model = model;
    this.#form = storedForm(shard, control, model);
    this.#scratch = scratch;
  }

  /** The vectors of a slot, at its query, into SLOT_MERGED. */
  encode(slot: number): void {
    const { u32 } = this.#control;
    const count = u32[slot + SLOT_K]!;
    const rows = u32[slot + SLOT_TABLES]! + TABLES_HEADER_BYTES;
    const { codec, stride } = this.#form;
    const out = layEncodedRows(u32[slot + SLOT_MERGED]!, rows, count, this.#form);
    if (codec !== CODEC_NONE && codec !== CODEC_FLOAT32) {
      this.#kernels.compressRows(rows, count, stride, codec, out.vectors, out.scales);
    }
    if (out.lanes === null) return;
    chooseLeaves(
      ...([this.#leafChoice(), this.#kernels, this.#control, rows, count] as const),
      ...([out.lanes.leaves, out.spilled?.leaves ?? 0, this.#scratch] as const),
    );
    this.#hash(out.lanes, rows, count);
    if (out.spilled !== null) this.#hash(out.spilled, rows, count);
  }

  #hash({ leaves, codes, codeBiases }: StagedLanes, rows: number, count: number): void {
    if (this.#form.codeBytes === 0) return;
    const weight = this.#encoderFloat(ENCODER_WEIGHT);
    this.#kernels.encodeRows(this.#model, rows, count, leaves, weight, codes, codeBiases, this.#scratch);
  }

  #leafChoice(): LeafChoice {
    const { u32 } = this.#control;
    const word = (offset: number): number => u32[(u32[ENCODER]! + offset) >>> 2]!;
    const { stride, numLeaves, spills } = this.#form;
    return {
      ...{ stride, centroids: word(ENCODER_CENTROIDS) },
      leafTables: { numLeaves, panels: word(ENCODER_PANELS), offsets: word(ENCODER_OFFSETS) },
      soarLambda: spills ? this.#encoderFloat(ENCODER_LAMBDA) : null,
    };
  }

  #encoderFloat(offset: number): number {
    const { u32, f32 } = this.#control;
    return f32[(u32[ENCODER]! + offset) >>> 2]!;
  }
}
