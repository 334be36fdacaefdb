import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { answerIn, type Question } from '../../scripts/soak/answer.ts';
import { checkGet, checkHas, checkSearch } from '../../scripts/soak/check.ts';
import { Material } from '../../scripts/soak/material.ts';
import { growthOf } from '../../scripts/soak/memory.ts';
import { Model } from '../../scripts/soak/model.ts';
import { parseOptions, UsageError } from '../../scripts/soak/options.ts';
import { soak } from '../../scripts/soak/run.ts';
import type { Id, Index, SearchResult } from '../../src/index.ts';

const [size, dimensions] = [300, 8];
const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the checker', () => {
  let material: Material;
  let model: Model;
  let query: Float32Array;
  beforeEach(() => {
    material = new Material({ size, dimensions, seed: 3 });
    model = new Model(dimensions, 16);
    const ids = Array.from({ length: size }, (_, i) => material.nameAt(i));
    const write = model.upsert(
      ids,
      material.vectors(size),
      ids.map(() => material.attributes()),
    );
    expect(write).toEqual({ number: 1, result: { inserted: size, updated: 0 } });
    model.resolve(write.number);
    query = material.query(undefined);
  });

  const exact = (options = {}): Question => ({ query, options: { k: 10, exact: true, ...options } });
  const approximate = (options = {}): Question => ({ query, options: { k: 10, ...options } });
  const wrong = (question: Question, found: SearchResult, sight = model.begin()): string | undefined =>
    checkSearch(model, question, sight, found).wrong;
  /** Replaces, in one write, the vectors of ids by what is nearest to the query. */
  const bringNear = (ids: readonly Id[]): number => {
    const vectors = new Float32Array(ids.length * dimensions);
    for (const [i] of ids.entries()) vectors.set(material.query(query), i * dimensions);
    return model.upsert(ids, vectors).number;
  };

  it('finds nothing wrong with right answers', () => {
    for (let i = 0; i < 200; i++) {
      const options = {
        k: material.int(1, 20),
        ...(material.chance(0.7) && { filter: material.filter() }),
        ...(material.chance(0.3) && { allowIds: Array.from({ length: 100 }, () => material.id()) }),
        ...(material.chance(0.3) && { excludeIds: Array.from({ length: 100 }, () => material.id()) }),
        ...(material.chance(0.5) && { crowding: { attribute: material.pick(['language', 'sold', 'tags']), max: 2 } }),
      };
      for (const question of [exact(options), approximate(options)]) {
        expect(wrong(question, answerIn(model, question, model.submitted))).toBeUndefined();
      }
    }
    const question = approximate();
    expect(checkSearch(model, question, model.begin(), answerIn(model, question, 1))).toEqual({ wanted: 10, hits: 10 });
  });

  it.each<[string, (answer: SearchResult, beyond: SearchResult) => void, string]>([
    ['a score', ({ scores }) => scores.set([scores[3]! - 0.001], 3), 'with a score of'],
    ['a lost result', (answer) => cut(answer, 9), '9 found'],
    ['a lost score', (answer) => Object.assign(answer, { scores: answer.scores.slice(1) }), 'with 9 scores'],
    ['a result too many', (answer, beyond) => Object.assign(answer, beyond), '11 found'],
    ['a result twice', ({ ids }) => ids.splice(4, 1, ids[3]!), 'found twice'],
    ['an unknown id', ({ ids }) => ids.splice(4, 1, 'id 100000'), 'which is not there'],
    ['an id of another type', ({ ids }) => ids.splice(4, 1, String(ids[4])), ''],
    [
      'another order',
      ({ ids, scores }) => {
        ids.reverse();
        scores.reverse();
      },
      'of no state from 1 to 1',
    ],
  ])('finds %s to be wrong', (_, falsify, message) => {
    for (const question of [exact(), approximate()]) {
      const answer = answerIn(model, question, 1);
      falsify(answer, answerIn(model, { query, options: { ...question.options, k: 11 } }, 1));
      expect(wrong(question, answer)).toContain(message);
    }
  });

  it('finds a worse vector than there is to be wrong in an exact answer, and missed by another one', () => {
    const question = exact();
    const more = answerIn(model, { query, options: { k: 11, exact: true } }, 1);
    const answer = { ids: more.ids.slice(1), scores: more.scores.slice(1) };
    expect(wrong(question, answer)).toContain('was due');
    expect(checkSearch(model, approximate(), model.begin(), answer)).toEqual({ wanted: 10, hits: 9 });
  });

  it('finds what should not pass', () => {
    const [first] = answerIn(model, exact(), 1).ids as [Id];
    const answer = answerIn(model, approximate(), 1);
    expect(wrong(approximate({ excludeIds: [first] }), answer)).toContain('which should not pass');
    expect(wrong(approximate({ filter: { allow: { sold: [true] } } }), answer)).toContain('which should not pass');
    expect(wrong(approximate({ crowding: { attribute: 'sold', max: 3 } }), answer)).toContain('too many');
    const few = { allowIds: answer.ids.slice(0, 3) };
    expect(wrong(approximate(few), answer)).toContain('10 found, with 10 scores, where 3 were due');
  });

  it('finds a write that is missing once it has resolved, and lets it be missing before', () => {
    const question = exact();
    const before = model.begin();
    const old = answerIn(model, question, 1);
    const number = bringNear([old.ids[9]!]);
    model.answered(before);
    for (const one of [question, approximate()]) {
      expect(wrong(one, old, before)).toBeUndefined();
      expect(wrong(one, answerIn(model, question, number), before)).toBeUndefined();
    }
    model.resolve(number);
    const after = model.begin();
    for (const one of [question, approximate()]) {
      expect(wrong(one, old, after)).toContain('of no state from 2 to 2');
      expect(wrong(one, answerIn(model, question, number), after)).toBeUndefined();
    }
  });

  it('finds a deletion that is missing', () => {
    const old = answerIn(model, exact(), 1);
    const { number, result } = model.delete([old.ids[5]!, 'nobody']);
    expect(result).toEqual({ deleted: 1, unknown: 1 });
    expect(wrong(approximate(), old)).toBeUndefined();
    model.resolve(number);
    expect(wrong(approximate(), old)).toContain('which is not there');
  });

  it('finds a write that was applied by half', () => {
    const question = exact();
    const sight = model.begin();
    const old = answerIn(model, question, 1);
    const pair = [old.ids[8]!, old.ids[9]!];
    const number = bringNear(pair);
    model.answered(sight);
    const fresh = answerIn(model, question, number);
    const others = old.ids.filter((id) => !pair.includes(id));
    expect(new Set(fresh.ids)).toEqual(new Set(old.ids));
    const half = [
      { id: pair[0]!, score: scoreIn(fresh, pair[0]!) },
      ...others.map((id) => ({ id, score: scoreIn(old, id) })),
      { id: pair[1]!, score: scoreIn(old, pair[1]!) },
    ].sort((a, b) => b.score - a.score);
    const answer = { ids: half.map(({ id }) => id), scores: Float32Array.from(half, ({ score }) => score) };
    for (const one of [question, approximate()]) expect(wrong(one, answer, sight)).toContain('of no state from 1 to 2');
    for (const right of [old, fresh]) expect(wrong(question, right, sight)).toBeUndefined();
  });

  it('finds writes in another order than theirs', () => {
    const question = exact();
    const sight = model.begin();
    const [a, b] = answerIn(model, question, 1).ids.slice(8) as [Id, Id];
    const other = new Model(dimensions);
    for (const place of model.latest()) {
      other.upsert([model.ids[place]!], model.vectorAt(place).slice(), [model.attributes[place]!]);
    }
    bringNear([a]);
    const last = bringNear([b]);
    model.answered(sight);
    // The second write without the first.
    other.upsert([b], model.vectorAt(model.at(b, last)!).slice());
    expect(wrong(question, answerIn(other, question, other.submitted), sight)).toContain('of no state from 1 to 3');
  });

  it('compares what is got, and whether it is there', () => {
    const id = material.nameAt(5);
    const place = model.at(id, 1)!;
    const stored = { id, vector: model.vectorAt(place).slice(), attributes: model.attributes[place]! };
    const sight = model.begin();
    expect(checkGet(model, id, sight, stored)).toBeUndefined();
    expect(checkGet(model, id, sight, undefined)).toContain('missing');
    expect(checkGet(model, id, sight, { ...stored, attributes: { sold: 'no' } })).toContain('attributes');
    expect(checkGet(model, id, sight, { ...stored, vector: query })).toContain('another vector');
    expect(checkGet(model, 'nobody', sight, { ...stored, id: 'nobody' })).toContain('is there');
    expect(checkHas(model, id, sight, true)).toBeUndefined();
    expect(checkHas(model, id, sight, false)).toContain('false');
    model.delete([id]);
    model.answered(sight);
    for (const found of [stored, undefined]) expect(checkGet(model, id, sight, found)).toBeUndefined();
    for (const found of [true, false]) expect(checkHas(model, id, sight, found)).toBeUndefined();
  });

  it('keeps what calls under way may have seen, and no more', () => {
    const sight = model.begin();
    const later = [];
    for (let i = 0; i < 100; i++) {
      model.resolve(bringNear([material.nameAt(1), material.nameAt(2)]));
      later.push(model.begin());
    }
    expect([model.past, model.size]).toEqual([200, size]);
    const { end } = model;
    for (const one of later) model.finish(one);
    expect(model.past).toBe(200);
    model.finish(sight);
    expect(model.past).toBe(0);
    for (let i = 0; i < 100; i++) model.resolve(bringNear([material.nameAt(1), material.nameAt(2)]));
    expect(model.end).toBe(end);
  });
});

describe('memory', () => {
  const samples = (of: (second: number) => number) =>
    Array.from({ length: 200 }, (_, seconds) => ({ seconds, bytes: of(seconds) }));

  it('is flat though it is taken twice now and then, and grows in the long run', () => {
    const spiky = growthOf(
      samples((second) => 1e8 + (second % 40 < 6 ? 1e8 : 1e5 * (second % 3))),
      50,
    )!;
    expect(spiky.windows).toBe(8);
    expect(Math.abs(spiky.bytes)).toBeLessThan(1e6);
    const growing = growthOf(
      samples((second) => 1e8 + 1e6 * second + (second % 40 < 6 ? 1e8 : 0)),
      50,
    )!;
    expect(growing.bytes / growing.mean).toBeGreaterThan(0.4);
  });

  it('cannot be judged after a few seconds', () => {
    expect(
      growthOf(
        samples(() => 1),
        180,
      ),
    ).toBeUndefined();
    expect(growthOf([], 0)).toBeUndefined();
  });
});

describe('options', () => {
  it('have defaults', () => {
    expect(parseOptions([])).toMatchObject({ minutes: 10, size: 20_000, dimensions: 32, concurrency: 32 });
    expect(parseOptions(['--minutes', '0.5', '--seed', '7'])).toMatchObject({ minutes: 0.5, seed: 7 });
    expect(parseOptions(['--help'])).toBeUndefined();
  });

  it.each([
    [['--minutes', 'ten'], '--minutes must be a number'],
    [['--size', '1.5'], '--size must be a whole number'],
    [['--hours', '1'], '--hours'],
  ])('%j are refused', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError);
    expect(() => parseOptions(args)).toThrow(message);
  });
});

describe('a short run', () => {
  const short = { minutes: 0.05, size, dimensions, threads: 1, seed: 5, concurrency: 16 };

  it('finds nothing wrong, and ends by itself', async () => {
    const options = Object.entries(short).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const args = ['--import', 'tsx', 'scripts/soak.ts', ...options];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/\n(\d+) calls submitted, \1 settled/);
    for (const kind of ['exact search', 'batch', 'upsert', 'delete', 'save', 'rebalance']) {
      expect(stdout).toMatch(new RegExp(`${kind} +[1-9]`));
    }
    expect(stdout.trim().split('\n').at(-1)).toBe('Nothing was wrong');
  });

  it('finds an index wrong that loses one write', async () => {
    let writes = 0;
    const forgetful = (index: Index): Index =>
      new Proxy(index, {
        get: (target, name) => {
          if (name === 'upsert') {
            return async (input: Parameters<Index['upsert']>[0]) => {
              if (++writes !== 5) return target.upsert(input);
              const known = await Promise.all(Array.from(input.ids, (id) => target.has(id)));
              const updated = known.filter(Boolean).length;
              return { inserted: known.length - updated, updated };
            };
          }
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    const { problems, problemCount } = await soak(short, () => {}, forgetful);
    expect(writes).toBeGreaterThan(5);
    expect(problemCount).toBeGreaterThan(0);
    expect(problems.join('\n')).toMatch(/another vector|missing|is not there|of no state/);
  });
});

function cut(answer: SearchResult, length: number): void {
  answer.ids.length = length;
  answer.scores = answer.scores.slice(0, length);
}

function scoreIn({ ids, scores }: SearchResult, id: Id): number {
  return scores[ids.indexOf(id)]!;
}
