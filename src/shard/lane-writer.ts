import { BLOCK_LANES, SEGMENT_BLOCKS, SEGMENT_HEADER_BYTES } from '../protocol/shard-layout.ts';
import { allocate } from './arena.ts';
import type { Kernels } from './kernels/kernels.ts';
import { bindKernels, type KernelSource } from './kernels/load.ts';
import { Views } from './views.ts';

/** What a leaf's lanes consist of. */
export interface LaneForm {
  /** Blocks of dimensions with a code each; 0 without hashing. */
  readonly blocks: number;
  readonly codeBytes: number;
  /** The same, padded: what a block of lanes has room for. */
  readonly subspaces: number;
  readonly hasBias: boolean;
  /** The bias that code 0 stands for, and what code 32767 adds to it. */
  readonly biasMinimum: number;
  readonly biasRange: number;
}

/** Bytes of a segment with room for so many blocks of lanes. */
export function segmentBytes({ subspaces, hasBias }: Pick<LaneForm, 'subspaces' | 'hasBias'>, blocks: number): number {
  return SEGMENT_HEADER_BYTES + blocks * (subspaces * 16 + (hasBias ? BLOCK_LANES * 2 : 0) + BLOCK_LANES * 4);
}

/** Writes lanes into the leaf segments of one memory. */
export class LaneWriter {
  readonly #form: LaneForm;
  readonly #views: Views;
  readonly #kernels: Kernels;
  /** Pointer: packed codes of one vector. */
  readonly #codes: number;
  readonly #blockBytes: number;
  readonly #biasBytes: number;

  constructor(memory: WebAssembly.Memory, kernels: KernelSource, form: LaneForm) {
    this.#form = form;
    this.#kernels = bindKernels(kernels, memory);
    this.#codes = allocate(memory, Math.max(64, form.codeBytes));
    this.#views = new Views(memory);
    this.#blockBytes = form.subspaces * 16;
    this.#biasBytes = form.hasBias ? BLOCK_LANES * 2 : 0;
  }

  /**
   * Writes the lane at a position of a segment, which becomes part of it once it is counted. codes: packed, from `from` on;
   * bias: as encodeRows gives it.
   */
  write(segment: number, position: number, codes: Uint8Array, from: number, bias: number, local: number): void {
    const { u8, u32, i16 } = this.#views.refresh();
    const { codeBytes, blocks, hasBias, biasMinimum, biasRange } = this.#form;
    const capacity = u32[(segment + SEGMENT_BLOCKS) >>> 2]!;
    const at = segment + SEGMENT_HEADER_BYTES;
    const block = Math.floor(position / BLOCK_LANES);
    const lane = position % BLOCK_LANES;
    if (codeBytes > 0) {
      u8.set(codes.subarray(from, from + codeBytes), this.#codes);
      this.#kernels.placeCodes(this.#codes, blocks, at + block * this.#blockBytes, lane);
    }
    const biases = at + capacity * this.#blockBytes;
    if (hasBias) {
      const units = biasRange > 0 ? Math.round(((bias - biasMinimum) / biasRange) * 32767) : 0;
      // Accumulator order: even and odd lanes of the low nibbles, then of the high ones.
      const place = (lane >>> 4) * 16 + (lane & 1) * 8 + ((lane & 15) >>> 1);
      i16[((biases + block * this.#biasBytes) >>> 1) + place] = Math.min(32767, Math.max(0, units));
    }
    u32[((biases + capacity * this.#biasBytes) >>> 2) + position] = local;
  }
}
