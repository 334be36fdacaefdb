import { Index, type OpenOptions } from '../../src/index.ts';
import { applyTo, contentOf, difference, type Operation, type Rows, wrongSearch } from './content.ts';

/** What a writer did before it ended. */
export interface Written {
  /** What there was before the first of the operations. */
  readonly before: Rows;
  /** All that may have begun, in their order. */
  readonly operations: readonly Operation[];
  /** So many of them were told to have been done. */
  readonly acknowledged: number;
}

export type Verdict =
  | { readonly violation: string }
  // The content is `rows`: that after the first `done` operations.
  | { readonly violation?: undefined; readonly done: number; readonly rows: Rows };

/** Opens what a writer left, and compares it with what it may have left: the first so many of its operations, none by half. */
export async function checkDirectory(
  directory: string,
  { before, operations, acknowledged }: Written,
  seed: number,
  options: OpenOptions = {},
): Promise<Verdict> {
  let index: Index;
  try {
    index = await Index.open(directory, { threads: 1, ...options });
  } catch (error) {
    return { violation: `it does not open: ${error}` };
  }
  try {
    const found = await contentOf(index);
    const rows = new Map(before);
    for (const operation of operations.slice(0, acknowledged)) applyTo(rows, operation);
    const differences: string[] = [];
    for (let done = acknowledged; ; done++) {
      const differs = difference(found, rows);
      if (differs === undefined) {
        const wrong = await wrongSearch(index, rows, { metric: index.metric, seed, count: 2 });
        return wrong === undefined ? { done, rows } : { violation: wrong };
      }
      differences.push(`${done}: ${differs}`);
      if (done === operations.length) break;
      applyTo(rows, operations[done]!);
    }
    return { violation: `it is what no number of operations leaves: ${differences.join('; ')}` };
  } catch (error) {
    return { violation: `it cannot be read: ${error}` };
  } finally {
    await index.close();
  }
}
