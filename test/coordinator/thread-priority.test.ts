import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { Random } from '../support/random.ts';

/** Priorities of this process's threads that are not 0, as Linux has them. */
function priorities(): number[] {
  return readdirSync('/proc/self/task')
    .map((id) => {
      const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
      // Fields behind the name, which may contain spaces.
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
    })
    .filter((priority) => priority !== 0);
}

describe.runIf(process.platform === 'linux')('priority of worker threads', () => {
  const vectors = new Random(5).normals(300, 4);
  const options = { dimensions: 4, threads: 2, tree: false, hashing: false } as const;
  const directory = temporaryDirectory();

  it('is normal by default', async () => {
    await using index = await Index.build({ vectors }, options);
    expect(index.size).toBe(300);
    expect(priorities()).toEqual([]);
  });

  it('is what the index was built or opened with, rebalanced or not', async () => {
    {
      await using index = await Index.build({ vectors }, { ...options, threadPriority: 7 });
      expect(priorities()).toEqual([7, 7]);
      await index.rebalance();
      expect(priorities()).toEqual([7, 7]);
      await index.save(directory);
    }
    {
      await using index = await Index.open(directory, { threads: 3, threadPriority: 9 });
      expect((await index.search([1, 0, 0, 0])).ids).toHaveLength(10);
      expect(priorities()).toEqual([9, 9, 9]);
    }
    await using _ = await Index.open(directory, { threads: 2 });
    expect(priorities()).toEqual([]);
  });

  it.each([-1, 20, 1.5, '5'])('cannot be %s', async (threadPriority) => {
    const wrong = { ...options, threadPriority: threadPriority as number };
    await expect(Index.build({ vectors }, wrong)).rejects.toMatchObject({
      ...{ code: 'SCANNERY_INVALID_OPTION', option: 'threadPriority', value: threadPriority },
    });
  });
});
