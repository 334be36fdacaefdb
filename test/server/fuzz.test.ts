import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { pack } from '../../src/protocol/packing.ts';
import type { ScanneryServer } from '../../src/server/index.ts';
import { call, serve } from '../support/server.ts';

// Whatever is sent, the answer is one that the document has (`call` sees to that), and nothing fails inside.

let server: ScanneryServer;
beforeAll(async () => {
  server = await serve({ limits: { maxK: 100, maxBatch: 5, bodyBytes: 100_000 } });
});

const routes = fc.constantFrom('/v1/search', '/v1/search/batch', '/v1/vectors', '/v1/vectors/delete');
const number = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(1e308, -0, 2 ** 53, 1e-320));
const vector = fc.oneof(fc.array(number, { minLength: 4, maxLength: 4 }), fc.array(fc.integer(), { maxLength: 6 }));
const id = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('a', 5, '5', { bigint: '5' }, { bigint: '99999999999999999999' }, '\ud800', '\0', ''),
  number,
);
const anything = fc.anything({ withBigInt: false, maxDepth: 3, withNullPrototype: false });
const parts = fc.record(
  {
    vector,
    id,
    vectors: fc.array(vector, { maxLength: 6 }),
    ids: fc.array(id, { maxLength: 4 }),
    k: fc.oneof(fc.integer({ min: -1, max: 101 }), anything),
    filter: fc.oneof(anything, fc.dictionary(fc.constantFrom('allow', 'deny', 'range', 'and', 'or', 'not'), anything)),
    crowding: fc.oneof(anything, fc.constant({ attribute: 'colour', max: 1 })),
    attributes: fc.oneof(fc.boolean(), fc.array(fc.dictionary(fc.string(), anything), { maxLength: 3 })),
    allowIds: fc.array(id, { maxLength: 4 }),
    explain: fc.oneof(fc.boolean(), anything),
    numReorderingCandidates: number,
  },
  { requiredKeys: [] },
);

const expectNoFailure = async (request: Parameters<typeof call>[1]): Promise<void> => {
  const { status } = await call(server, request);
  expect(status).toBeLessThan(500);
};

const RUNS = { numRuns: Number(process.env.SCANNERY_PROPERTY_RUNS ?? 150) };

it('bodies of all kinds in JSON', async () => {
  const body = fc.oneof({ weight: 4, arbitrary: parts }, { weight: 1, arbitrary: fc.json() });
  await fc.assert(
    fc.asyncProperty(routes, body, async (url, given) => {
      await expectNoFailure({ url, body: typeof given === 'string' ? given : JSON.stringify(given) });
    }),
    RUNS,
  );
});

it('bodies of all kinds in MessagePack', async () => {
  const headers = { 'content-type': 'application/msgpack' };
  const packed = parts.map((body) => {
    try {
      return pack(body);
    } catch {
      return Buffer.from([0xc0]);
    }
  });
  const bytes = fc.uint8Array({ maxLength: 60 }).map((each) => Buffer.from(each));
  const broken = fc.tuple(packed, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([message, at, value]) => {
    const copy = Buffer.from(message);
    copy[at % copy.length] = value;
    return copy;
  });
  await fc.assert(
    fc.asyncProperty(routes, fc.oneof(packed, bytes, broken), async (url, body) => {
      await expectNoFailure({ url, body, headers });
    }),
    RUNS,
  );
});

it('ids of all kinds in paths', async () => {
  const text = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.integer().map(String), fc.bigInt().map(String));
  const type = fc.constantFrom('', '?type=integer', '?type=bigint', '?type=string', '?type=', '?x=1', '?type=a&type=b');
  await fc.assert(
    fc.asyncProperty(text, type, fc.constantFrom('GET', 'DELETE'), async (id, query, method) => {
      let path: string;
      try {
        path = encodeURIComponent(id);
      } catch {
        path = '%ed%a0%80';
      }
      // These two are not ids but steps in a path.
      if (path !== '.' && path !== '..') await expectNoFailure({ method, url: `/v1/vectors/${path}${query}` });
    }),
    RUNS,
  );
});
