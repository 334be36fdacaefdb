import type { CheckedAttributes } from './attribute-schema.ts';
import type { Change } from './changes.ts';
import { withDefaults } from './measuring.ts';
import type { Parts } from './parts.ts';
import type { Id } from './types.ts';

/** Vectors that are upserted at once when a log is read. */
const MERGED_ROWS = 4096;

/** Makes a change visible. If it throws, nothing has changed. */
export async function applyChange(parts: Parts, change: Change): Promise<{ parts: Parts; result: unknown }> {
  switch (change.kind) {
    case 'upsert':
      return { parts, result: await parts.contents.upsert(change) };
    case 'delete':
      return { parts, result: await parts.contents.delete(change.ids) };
    case 'defaults':
      return { parts: { ...parts, data: withDefaults(parts.data, change.defaults) }, result: undefined };
  }
}

/** The same changes with upserts that follow each other taken together: many small ones would take much longer. */
export async function* mergeUpserts(changes: AsyncIterable<Change>): AsyncGenerator<Change> {
  let rows = new Map<Id, { vector: ArrayLike<number>; attributes: CheckedAttributes }>();
  const merged = (): Change => {
    const [ids, values] = [[...rows.keys()], [...rows.values()]];
    rows = new Map();
    return {
      kind: 'upsert',
      ...{ ids, row: (i) => values[i]!.vector, attributes: values.map(({ attributes }) => attributes) },
    };
  };
  for await (const change of changes) {
    if (change.kind !== 'upsert') {
      if (rows.size > 0) yield merged();
      yield change;
      continue;
    }
    for (const [i, id] of change.ids.entries()) {
      // Where an id is given again, it comes behind the others, as if it had replaced itself.
      rows.delete(id);
      rows.set(id, { vector: change.row(i), attributes: change.attributes?.[i] ?? {} });
    }
    if (rows.size >= MERGED_ROWS) yield merged();
  }
  if (rows.size > 0) yield merged();
}
