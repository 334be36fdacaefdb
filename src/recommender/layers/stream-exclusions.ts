import type { Id } from '../../coordinator/types.ts';
import type { StreamExclusions } from '../../protocol/stream-task.ts';
import type { Exclusions } from './exclusions.ts';
import type { MiniShard, StreamMemory } from './stream-memory.ts';

/** The exclusions of the queries of a pass, in the memory that threads scan, and which candidates of a chunk they are about. */
export class PassExclusions {
  readonly #memory: StreamMemory;
  /** The group of each identifier that some query excludes. */
  readonly #groups = new Map<Id, number>();
  readonly #lists: Omit<StreamExclusions, 'passing' | 'passingBytes'>;
  /** Groups that the chunk has candidates of, repeated or not. */
  #seen: number[] = [];
  /** Bytes of a bit per candidate of a chunk. */
  readonly passingBytes: number;

  /** For queries [first, first + count). */
  constructor(exclusions: Exclusions, first: number, count: number, shard: MiniShard, memory: StreamMemory) {
    this.#memory = memory;
    this.passingBytes = Math.ceil(shard.capacity / 32) * 4;
    let entries = 0;
    for (let query = first; query < first + count; query++) {
      for (const id of exclusions.of(query)) {
        if (!this.#groups.has(id)) this.#groups.set(id, this.#groups.size);
        entries++;
      }
    }
    const starts = memory.allocate((count + 1) * 4);
    const groups = memory.allocate(entries * 4);
    const heads = memory.allocate(this.#groups.size * 4);
    const previous = memory.allocate(shard.capacity * 4);
    this.#lists = { starts, groups, heads, previous };
    const { u32 } = memory.views;
    u32.fill(0, heads >>> 2, (heads >>> 2) + this.#groups.size);
    let next = 0;
    for (let i = 0; i < count; i++) {
      u32[(starts >>> 2) + i] = next;
      for (const id of exclusions.of(first + i)) u32[(groups >>> 2) + next++] = this.#groups.get(id)!;
    }
    u32[(starts >>> 2) + count] = next;
  }

  /** Takes note of a candidate of the chunk. */
  see(identifier: Id, local: number): void {
    const group = this.#groups.get(identifier);
    if (group === undefined) return;
    const { u32 } = this.#memory.views;
    const head = (this.#lists.heads >>> 2) + group;
    u32[(this.#lists.previous >>> 2) + local] = u32[head]!;
    u32[head] = local + 1;
    this.#seen.push(group);
  }

  /** What threads need to know. @param passing where the bits begin in a worker's scratch */
  task(passing: number): StreamExclusions {
    return { ...this.#lists, passing, passingBytes: this.passingBytes };
  }

  /** The chunk's candidates are gone. */
  clear(): void {
    const { u32 } = this.#memory.views;
    for (const group of this.#seen) u32[(this.#lists.heads >>> 2) + group] = 0;
    this.#seen = [];
  }
}
