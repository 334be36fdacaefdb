import type { FillTask, StagedLanes, StagedSegment } from '../protocol/messages.ts';
import { CODEC_FLOAT32, CODEC_INT8, CODEC_NONE, RESERVED_BYTES, SEGMENT_COUNT } from '../protocol/shard-layout.ts';
import { allocate } from './arena.ts';
import { bindKernels } from './kernels/load.ts';
import { LaneWriter } from './lane-writer.ts';
import { layOutShard, type ShardImage, writeSkeleton } from './shard-image.ts';
import { stagedRow } from './staged-rows.ts';
import { Views } from './views.ts';

/** Fills one shard from the staging segments: its rows in row order, each with its vector, and its lanes in leaves. */
export function fillShard(task: FillTask, shard: number): void {
  const image = layOutShard(task.plan, shard);
  const memory = task.shards[shard]!;
  const target = new Views(memory);
  const unused = task.inPlace ? image.chunkTable : RESERVED_BYTES;
  if (task.stale[shard]! > unused) target.u8.fill(0, unused, task.stale[shard]!);
  writeSkeleton(target, task.plan, image);
  const writer = new ShardWriter(task, memory, target, image);
  const owners = task.plan.leafOwners;
  for (const segment of task.segments) {
    const laneWords = writer.open(segment).u32;
    const from = owners === null ? task.plan.rowStarts[shard]! : segment.firstRow;
    const to = owners === null ? task.plan.rowStarts[shard + 1]! : segment.firstRow + segment.count;
    const end = Math.min(segment.count, to - segment.firstRow);
    for (let i = Math.max(0, from - segment.firstRow); i < end; i++) {
      const leaf = owners === null ? 0 : laneWords[(segment.lanes.leaves >>> 2) + i]!;
      if (owners === null || owners[leaf] === shard) writer.add(segment, i);
    }
  }
  writer.publish();
}

class ShardWriter {
  readonly #task: FillTask;
  readonly #image: ShardImage;
  readonly #target: Views;
  readonly #laneWriter: LaneWriter;
  readonly #fill: Int32Array; // lanes written, per leaf
  #source!: Views;
  #lanes!: Views;
  #sourceKernels!: ReturnType<typeof bindKernels>;
  #compressed = 0; // one compressed row and its scale, in the staging memory
  #next = 0; // local number of the next row

  constructor(task: FillTask, memory: WebAssembly.Memory, target: Views, image: ShardImage) {
    this.#task = task;
    this.#image = image;
    this.#target = target;
    this.#laneWriter = new LaneWriter(memory, task.kernels, task.plan);
    target.refresh();
    this.#fill = new Int32Array(task.plan.numLeaves);
  }

  /** Turns to a segment; returns views of its lanes. */
  open(segment: StagedSegment): Views {
    this.#source = new Views(segment.memory);
    this.#lanes = new Views(segment.laneMemory);
    this.#sourceKernels = bindKernels(this.#task.kernels, segment.memory);
    if (this.#task.plan.codec !== CODEC_FLOAT32) {
      this.#compressed = allocate(segment.memory, this.#image.rowBytes + 64);
      this.#source.refresh();
      this.#lanes.refresh();
    }
    return this.#lanes;
  }

  add(segment: StagedSegment, i: number): void {
    const { u32 } = this.#target;
    const local = this.#next++;
    const chunk = this.#image.chunks[local >>> this.#image.chunkShift]!;
    const slot = local & (2 ** this.#image.chunkShift - 1);
    u32[(chunk >>> 2) + slot] = segment.firstRow + i;
    this.#addVector(segment, i, chunk, slot);
    if (this.#task.plan.numLeaves === 0) return;
    this.#addLane(segment.lanes, i, local);
    if (segment.spilled !== null) this.#addLane(segment.spilled, i, local);
  }

  #addVector(segment: StagedSegment, i: number, chunk: number, slot: number): void {
    const { codec, stride } = this.#task.plan;
    const { rowBytes, vectorsAt, chunkShift } = this.#image;
    if (codec === CODEC_NONE || this.#task.inPlace) return;
    let from = stagedRow(segment.rows, stride, i);
    if (codec !== CODEC_FLOAT32) {
      const scale = this.#compressed;
      this.#sourceKernels.compressRows(from, 1, stride, codec, scale + 64, scale);
      if (codec === CODEC_INT8) {
        this.#target.f32[(chunk >>> 2) + 2 ** chunkShift + slot] = this.#source.f32[scale >>> 2]!;
      }
      from = scale + 64;
    }
    this.#target.u8.set(this.#source.u8.subarray(from, from + rowBytes), chunk + vectorsAt + slot * rowBytes);
  }

  #addLane({ leaves, codes, codeBiases }: StagedLanes, i: number, local: number): void {
    const { plan } = this.#task;
    const leaf = plan.leafOwners === null ? 0 : this.#lanes.u32[(leaves >>> 2) + i]!;
    const bias = this.#lanes.f32[(codeBiases >>> 2) + i]!;
    const from = codes + i * plan.codeBytes;
    this.#laneWriter.write(this.#image.segments[leaf]!, this.#fill[leaf]!++, this.#lanes.u8, from, bias, local);
  }

  publish(): void {
    for (let leaf = 0; leaf < this.#fill.length; leaf++) {
      const segment = this.#image.segments[leaf]!;
      if (segment !== 0) Atomics.store(this.#target.i32, (segment + SEGMENT_COUNT) >>> 2, this.#fill[leaf]!);
    }
  }
}
