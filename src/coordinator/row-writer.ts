import { ScanneryError } from '../protocol/errors.ts';
import {
  MODEL_BIAS_MINIMUM,
  MODEL_BIAS_RANGE,
  MODEL_BLOCKS,
  RESERVED_BYTES,
  SHARD_HAS_BIAS,
  SHARD_SUBSPACES,
} from '../protocol/shard-layout.ts';
import { type StoredForm, storedForm } from '../shard/encoded-rows.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import type { LaneForm } from '../shard/lane-writer.ts';
import { lanesInHead } from '../shard/stored-leaves.ts';
import { Views } from '../shard/views.ts';
import type { CheckedAttributes } from './attribute-schema.ts';
import type { IndexData } from './build.ts';
import type { CheckedRows } from './changes.ts';
import type { EncodedSlot } from './encode-work.ts';
import { LeafLanes } from './leaf-lanes.ts';
import type { RowAttributes } from './row-attributes.ts';
import type { Rows } from './rows.ts';

/** Where a row that was added is, so that it can be taken back. */
interface Added {
  readonly memory: number;
  readonly leaves: readonly number[];
}

/** Writes rows behind the last one of an index. No search sees them before they are committed. */
export class RowWriter {
  readonly form: StoredForm;
  readonly #rows: Rows;
  readonly #attributes: RowAttributes;
  /** Per memory; empty where vectors have no lanes. */
  readonly #leaves: readonly LeafLanes[];
  #added: Added[] = [];

  constructor(data: IndexData, kernels: KernelSource) {
    const { control, model, rows } = data;
    const views = new Views(control);
    this.#rows = rows;
    this.#attributes = data.attributes;
    this.form = storedForm(rows.memories[0]!.views, views, model);
    const laneForm = model === 0 ? null : laneFormOf(rows.memories[0]!.views, views, model, this.form);
    this.#leaves = laneForm === null ? [] : rows.memories.map((memory) => new LeafLanes(memory, kernels, laneForm));
  }

  /** Rows written since the last commit. */
  get count(): number {
    return this.#added.length;
  }

  /**
   * Writes encoded rows; they get the next row numbers. `attributes`: of all rows since the last commit.
   *
   * @throws {ScanneryError} SCANNERY_OUT_OF_MEMORY; then `undo` takes back what there is
   */
  async write(encoded: EncodedSlot, attributes: CheckedRows['attributes']): Promise<void> {
    for (let i = 0; i < encoded.count; i++) await this.#writeRow(encoded, i, attributes?.[this.count]);
  }

  /** Takes back all rows since the last commit. */
  undo(): void {
    for (const { memory, leaves } of this.#added.reverse()) {
      for (const leaf of [...leaves].reverse()) this.#leaves[memory]!.undo(leaf);
      this.#rows.memories[memory]!.undo();
    }
    this.#added = [];
  }

  committed(): void {
    this.#added = [];
  }

  async #writeRow(encoded: EncodedSlot, i: number, attributes: CheckedAttributes | undefined): Promise<void> {
    const kinds = [encoded.lanes, encoded.spilled].filter((lanes) => lanes !== null);
    const leaves = kinds.map((lanes) => encoded.u32[(lanes.leaves >>> 2) + i]!);
    const m = this.#chooseMemory(leaves[0]);
    const memory = this.#rows.memories[m]!;
    const lanesOf = this.#leaves[m];
    if (!memory.hasRoom) await memory.reserve();
    for (const leaf of leaves) if (!lanesOf!.hasRoom(leaf)) await lanesOf!.reserve(leaf);
    const columns = this.#attributes.memories[m]!;
    const cells = attributes === undefined ? [] : this.#attributes.schema.cellsOf(attributes);
    if (cells.length > 0) await columns.reserve(memory.count, cells);
    // From here on nothing fails.
    columns.write(memory.count, cells, this.#attributes.schema.all);
    const { rowBytes, codeBytes } = this.form;
    const from = encoded.vectors + i * rowBytes;
    const vector = encoded.u8.subarray(from, from + rowBytes);
    const local = memory.add(this.#rows.count + this.count, vector, encoded.f32[(encoded.scales >>> 2) + i]!);
    for (const [which, { codes, codeBiases }] of kinds.entries()) {
      const bias = encoded.f32[(codeBiases >>> 2) + i]!;
      lanesOf!.add(leaves[which]!, encoded.u8, codes + i * codeBytes, bias, local);
    }
    this.#added.push({ memory: m, leaves });
  }

  /** The memory with most of a leaf if it has room, so that searches find the leaf in one place; else the one with fewest rows. */
  #chooseMemory(leaf: number | undefined): number {
    const { memories } = this.#rows;
    if (memories.length === 1 && memories[0]!.hasRoom) return 0;
    const able = [...memories.keys()].filter((m) => memories[m]!.hasRoom || memories[m]!.canGrow);
    if (able.length === 0) {
      const message = `all ${memories.length} memories of 4 GiB are full; build the index anew with more shards`;
      throw new ScanneryError('SCANNERY_OUT_OF_MEMORY', message, { value: this.#rows.count });
    }
    const lanes = (m: number): number => (leaf === undefined ? 0 : lanesInHead(memories[m]!.views, leaf));
    return able.reduce((best, m) => {
      const more = lanes(m) - lanes(best);
      return more > 0 || (more === 0 && memories[m]!.count < memories[best]!.count) ? m : best;
    });
  }
}

function laneFormOf(shard: Views, control: Views, model: number, { codeBytes }: StoredForm): LaneForm {
  const header = (word: number): number => shard.u32[(RESERVED_BYTES + word) >>> 2]!;
  return {
    ...{ blocks: control.u32[(model + MODEL_BLOCKS) >>> 2]!, codeBytes, subspaces: header(SHARD_SUBSPACES) },
    hasBias: header(SHARD_HAS_BIAS) === 1,
    biasMinimum: control.f32[(model + MODEL_BIAS_MINIMUM) >>> 2]!,
    biasRange: control.f32[(model + MODEL_BIAS_RANGE) >>> 2]!,
  };
}
