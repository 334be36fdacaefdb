import type { Index, SearchResult } from '../../src/index.ts';
import { smallIndex, withMethods } from './server.ts';

/** Waits until something is so; fails after ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; !(await condition()); i++) {
    if (i === 2000) throw new Error('it did not come to pass');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** An index whose searches wait until they are let go, or their signals are aborted. */
export async function slowIndex(): Promise<{
  index: Index;
  /** Searches that wait. */
  waiting: Set<() => void>;
  /** Queries of searches that were aborted. */
  aborted: () => number;
  letGo: () => void;
}> {
  const waiting = new Set<() => void>();
  let aborted = 0;
  const wait = (count: number, { signal }: { signal: AbortSignal }): Promise<SearchResult[]> =>
    new Promise((resolve, reject) => {
      const go = (): void => {
        waiting.delete(go);
        resolve(Array.from({ length: count }, () => ({ ids: ['a'], scores: new Float32Array(1) })));
      };
      waiting.add(go);
      signal.addEventListener('abort', () => {
        if (!waiting.delete(go)) return;
        aborted += count;
        reject(signal.reason);
      });
    });
  const index = withMethods(await smallIndex(), {
    search: async (_: unknown, options: { signal: AbortSignal }) => (await wait(1, options))[0],
    searchBatch: (rows: unknown[], options: { signal: AbortSignal }) => wait(rows.length, options),
  });
  const letGo = (): void => {
    for (const go of [...waiting]) go();
  };
  return { index, waiting, aborted: () => aborted, letGo };
}
