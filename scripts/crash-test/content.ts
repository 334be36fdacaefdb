import type { Id, Index, Metric } from '../../src/index.ts';
import { Random } from '../../test/support/random.ts';
import { naiveScore } from '../../test/support/vectors.ts';

/** What an index should hold. */
export type Rows = Map<Id, Float32Array>;

/** A call that may change an index. */
export type Operation =
  | { readonly kind: 'upsert'; readonly ids: readonly Id[]; readonly vectors: Float32Array }
  | { readonly kind: 'delete'; readonly ids: readonly Id[] }
  // Neither of these changes what is found.
  | { readonly kind: 'save' | 'rebalance' };

/** Makes the call. */
export async function perform(index: Index, operation: Operation): Promise<unknown> {
  switch (operation.kind) {
    case 'upsert':
      return index.upsert({ ids: operation.ids, vectors: operation.vectors });
    case 'delete':
      return index.delete(operation.ids);
    case 'save':
      return index.save();
    case 'rebalance':
      return index.rebalance();
  }
}

/** Does to rows what a call does to an index. */
export function applyTo(rows: Rows, operation: Operation): void {
  if (operation.kind === 'delete') for (const id of operation.ids) rows.delete(id);
  if (operation.kind !== 'upsert') return;
  const { ids, vectors } = operation;
  const dimensions = vectors.length / ids.length;
  for (const [i, id] of ids.entries()) rows.set(id, vectors.subarray(i * dimensions, (i + 1) * dimensions));
}

/** All that an index holds, by its ids. */
export async function contentOf(index: Index): Promise<Rows> {
  const rows: Rows = new Map();
  let count = 0;
  for await (const id of index.ids()) {
    const stored = await index.get(id);
    if (stored === undefined) throw new Error(`${shown(id)} is listed but cannot be got`);
    rows.set(id, stored.vector);
    count++;
  }
  if (count !== rows.size) throw new Error(`${count} ids are listed, of which only ${rows.size} differ`);
  if (index.size !== count) throw new Error(`${count} ids are listed, but the size is ${index.size}`);
  return rows;
}

/** In what two contents differ, or undefined. */
export function difference(found: Rows, wanted: Rows): string | undefined {
  for (const [id, vector] of wanted) {
    const other = found.get(id);
    if (other === undefined) return `${shown(id)} is missing`;
    if (vector.some((value, i) => value !== other[i])) return `${shown(id)} has another vector`;
  }
  for (const id of found.keys()) if (!wanted.has(id)) return `${shown(id)} should not be there`;
  return undefined;
}

const shown = (id: Id): string => `${typeof id} ${String(id).slice(0, 40)}`;

/** What is wrong with searches that look at everything, exact ones and others, or undefined. */
export async function wrongSearch(
  index: Index,
  rows: Rows,
  { metric, seed, count }: { metric: Metric; seed: number; count: number },
): Promise<string | undefined> {
  const random = new Random(seed);
  const sign = metric === 'squared_l2' ? 1 : -1;
  for (let n = 0; n < count; n++) {
    const query = random.normals(1, index.dimensions);
    const scores = [...rows.values()].map((vector) => naiveScore(metric, vector, query));
    scores.sort((a, b) => sign * (a - b));
    for (const exact of [true, false]) {
      const found = await index.search(query, {
        ...{ k: 10, exact, numLeavesToSearch: 1_000_000, numReorderingCandidates: 1_000_000 },
      });
      if (found.ids.length !== Math.min(10, rows.size) || new Set(found.ids).size !== found.ids.length) {
        return `a search found ${found.ids.length} of ${rows.size}`;
      }
      for (const [i, id] of found.ids.entries()) {
        const vector = rows.get(id);
        if (vector === undefined) return `a search found ${shown(id)}, which is not there`;
        const [wanted, own] = [scores[i]!, naiveScore(metric, vector, query)];
        const near = 1e-3 * (1 + Math.abs(wanted));
        if (Math.abs(own - wanted) > near || Math.abs(found.scores[i]! - wanted) > near) {
          return `a search${exact ? ', exact,' : ''} found ${shown(id)} at place ${i}, with a score of ${found.scores[i]} where ${wanted} was due`;
        }
      }
    }
  }
  return undefined;
}
