import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closedLoop } from '../../scripts/bench-serve/closed-loop.ts';
import { parseOptions, type UrlOptions, UsageError } from '../../scripts/load-test/options.ts';
import { openUrlTarget } from '../../scripts/load-test/url-target.ts';
import { Index } from '../../src/index.ts';
import { createServer, type ScanneryServer } from '../../src/server/index.ts';
import { Random } from '../support/random.ts';

const TOKEN = 'load-test-token-0123456789';
const DIMENSIONS = 8;
let index: Index;
let server: ScanneryServer;
let url: URL;

beforeAll(async () => {
  const vectors = new Random(4).normals(500, DIMENSIONS);
  index = await Index.build({ vectors }, { dimensions: DIMENSIONS, threads: 1 });
  server = await createServer(index, {
    ...{ port: 0, limits: { maxK: 20 } },
    tokens: [{ name: 'load test', token: TOKEN, scopes: ['read', 'write'] }],
  });
  url = new URL(await server.listen());
});
afterAll(async () => {
  await server.close();
  await index.close();
});

const { target } = parseOptions(['--k', '3'])!;
const at = (more: Partial<UrlOptions> = {}): UrlOptions => ({
  ...{ url, token: TOKEN, encoding: 'json', batch: 1, connections: 4 },
  ...more,
});

describe('a load test of a URL', () => {
  it.each([
    ['json', 1],
    ['json', 16],
    ['msgpack', 1],
    ['msgpack', 16],
  ] as const)('asks in %s, %i queries a request, and upserts', async (encoding, batch) => {
    const open = await openUrlTarget(target, at({ encoding, batch }));
    const before = index.stats().queries.completed;
    expect(open.description.join('\n')).toContain(`${DIMENSIONS}, dot_product`);
    expect(open.queries).toBe(Math.ceil(1000 / batch));
    for (let i = 0; i < 5; i++) await open.search(i);
    expect(index.stats().queries.completed - before).toBe(5 * batch);
    await open.upsert(7);
    expect(await index.has('load test 7')).toBe(true);
    await open.close();
  });

  it('tells the status and code of what is refused', async () => {
    for (const encoding of ['json', 'msgpack'] as const) {
      const open = await openUrlTarget({ ...target, k: 21 }, at({ encoding }));
      await expect(open.search(0)).rejects.toMatchObject({ code: '400 SCANNERY_INVALID_OPTION' });
      await open.close();
    }
  });

  it('does not begin without a server, a token, or queries that fit', async () => {
    const refusal = async (options: UrlOptions, asked = target): Promise<string> => {
      const error = await openUrlTarget(asked, options).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UsageError);
      return (error as UsageError).message;
    };
    expect(await refusal(at({ url: new URL('http://127.0.0.1:9') }))).toContain('nothing answers');
    expect(await refusal(at({ token: undefined }))).toContain('SCANNERY_TOKEN');
    expect(await refusal(at(), { ...target, queries: 'no/such/file.json' })).toContain('no/such/file.json');
  });

  it('counts the calls of a closed loop, of which so many are under way', async () => {
    let [now, most, calls] = [0, 0, 0];
    const { rate, latency, ...found } = await closedLoop(
      async () => {
        calls++;
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 5));
        now--;
      },
      3,
      200,
    );
    expect([found.calls, most]).toEqual([calls, 3]);
    expect(latency.count).toBeLessThan(calls);
    expect(latency.at(50)).toBeGreaterThan(3);
    expect(rate).toBeCloseTo(latency.count * 5, 5);
  });
});

describe('the options of a URL', () => {
  it('are read', () => {
    const given = ['--url', 'http://127.0.0.1:8080', '--encoding', 'msgpack', '--batch', '64'];
    expect(parseOptions(given)!.url).toMatchObject({ encoding: 'msgpack', batch: 64, connections: 64 });
    expect(parseOptions([])!.url).toBeUndefined();
  });

  it.each([
    ['--encoding', 'json'],
    ['--batch', '5'],
    ['--connections', '5'],
    ['--url', 'here'],
    ['--url', 'ftp://127.0.0.1'],
    ['--url', 'http://127.0.0.1:8080', '--index', 'somewhere'],
    ['--url', 'http://127.0.0.1:8080', '--threads', '2'],
    ['--url', 'http://127.0.0.1:8080', '--encoding', 'xml'],
    ['--url', 'http://127.0.0.1:8080', '--batch', '0'],
  ])('refuse %s %s %s %s', (...args) => {
    const given = args.filter((word) => word !== undefined);
    expect(() => parseOptions(given)).toThrow(UsageError);
    expect(() => parseOptions(given)).toThrow(given.at(-2)!);
  });
});
