import { BLOCK_LANES, SEGMENT_BLOCKS, SEGMENT_COUNT, SEGMENT_NEXT } from '../protocol/shard-layout.ts';
import type { KernelSource } from '../shard/kernels/load.ts';
import { type LaneForm, LaneWriter, segmentBytes } from '../shard/lane-writer.ts';
import { leafHeadWord } from '../shard/stored-leaves.ts';
import type { MemoryRows } from './memory-rows.ts';

/** A leaf that is full grows by this part of its lanes. */
const GROWTH = 1 / 4;

/** Where the next lane of a leaf goes. */
interface Tail {
  readonly segment: number;
  /** Lanes that the segment has room for. */
  readonly room: number;
  count: number;
  /** Lanes in the segments before it. */
  readonly before: number;
  readonly previous: Tail | null;
}

/** The leaves of one memory, as lanes are added to them. Searches see a lane once it is counted, and heed it as its row. */
export class LeafLanes {
  readonly #rows: MemoryRows;
  readonly #form: LaneForm;
  readonly #writer: LaneWriter;
  readonly #tails = new Map<number, Tail>();

  constructor(rows: MemoryRows, kernels: KernelSource, form: LaneForm) {
    this.#rows = rows;
    this.#form = form;
    this.#writer = new LaneWriter(rows.memory, kernels, form);
  }

  /** Makes room for one more lane of a leaf. */
  async reserve(leaf: number): Promise<void> {
    let tail = this.#tails.get(leaf) ?? this.#find(leaf);
    if (tail === null || tail.count === tail.room) tail = this.#next(tail) ?? (await this.#grow(leaf, tail));
    this.#tails.set(leaf, tail);
  }

  /** Whether `reserve` has nothing to do. */
  hasRoom(leaf: number): boolean {
    const tail = this.#tails.get(leaf);
    return tail !== undefined && tail.count < tail.room;
  }

  /** Adds a lane to a leaf that has room for it. */
  add(leaf: number, codes: Uint8Array, from: number, bias: number, local: number): void {
    const tail = this.#tails.get(leaf)!;
    this.#writer.write(tail.segment, tail.count, codes, from, bias, local);
    this.#publish(tail, tail.count + 1);
  }

  /** Takes the last lane of a leaf back, which no search has heeded. */
  undo(leaf: number): void {
    let tail = this.#tails.get(leaf)!;
    while (tail.count === 0) tail = tail.previous!;
    this.#publish(tail, tail.count - 1);
    this.#tails.set(leaf, tail);
  }

  #publish(tail: Tail, count: number): void {
    tail.count = count;
    Atomics.store(this.#rows.views.i32, (tail.segment + SEGMENT_COUNT) >>> 2, count);
  }

  #find(leaf: number): Tail | null {
    const { views } = this.#rows;
    const head = views.u32[leafHeadWord(views, leaf)]!;
    if (head === 0) return null;
    let tail = this.#tailAt(head, null);
    for (let next = this.#next(tail); tail.count === tail.room && next !== null; next = this.#next(tail)) tail = next;
    return tail;
  }

  /** The segment behind a full one, if there is one. */
  #next(tail: Tail | null): Tail | null {
    const next = tail === null ? 0 : this.#rows.views.u32[(tail.segment + SEGMENT_NEXT) >>> 2]!;
    return next === 0 ? null : this.#tailAt(next, tail);
  }

  #tailAt(segment: number, previous: Tail | null): Tail {
    const { u32 } = this.#rows.views;
    const [room, count] = [u32[(segment + SEGMENT_BLOCKS) >>> 2]! * BLOCK_LANES, u32[(segment + SEGMENT_COUNT) >>> 2]!];
    return { segment, room, count, before: previous === null ? 0 : previous.before + previous.count, previous };
  }

  async #grow(leaf: number, last: Tail | null): Promise<Tail> {
    const lanes = last === null ? 0 : last.before + last.count;
    const blocks = Math.max(1, Math.ceil((lanes * GROWTH) / BLOCK_LANES));
    const segment = await this.#rows.keep(segmentBytes(this.#form, blocks));
    const { views } = this.#rows;
    views.u32[(segment + SEGMENT_BLOCKS) >>> 2] = blocks;
    Atomics.store(
      views.i32,
      last === null ? leafHeadWord(views, leaf) : (last.segment + SEGMENT_NEXT) >>> 2,
      segment | 0,
    );
    return this.#tailAt(segment, last);
  }
}
