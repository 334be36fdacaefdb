import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { askWhile } from '../support/model-versions.ts';

/** Asks while so many answers are given, which are these in turn; undefined fails. */
async function answered(...answers: (readonly string[] | undefined)[]) {
  let given = 0;
  const work = async (): Promise<void> => {
    while (given < answers.length) await nextTurn();
  };
  const ask = async (): Promise<readonly string[]> => {
    await nextTurn();
    const answer = answers[given++ % answers.length];
    if (answer === undefined) throw new Error('no answer');
    return answer;
  };
  return askWhile(work, ask, { clients: 1, k: 2 });
}

it('answers of one version are counted, and which versions there were', async () => {
  const { answers, failures, mixed, versions, times } = await answered(['v1/a', 'v1/b'], ['v2/a', 'v2/b']);
  expect(answers).toBeGreaterThanOrEqual(2);
  expect(times).toHaveLength(answers);
  expect([failures, mixed]).toEqual([[], []]);
  expect(versions).toEqual(['v1', 'v2']);
});

it('an answer of two versions, an answer that lacks something, and a failure are told', async () => {
  const { failures, mixed } = await answered(['v1/a', 'v2/b'], ['v1/a'], [], undefined);
  expect(mixed.slice(0, 3)).toEqual([['v1/a', 'v2/b'], ['v1/a'], []]);
  expect(failures[0]).toMatchObject({ message: 'no answer' });
});
