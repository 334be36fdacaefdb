import { beforeAll, describe, expect, it } from 'vitest';
import type { ScanneryServer } from '../../src/server/index.ts';
import {
  BIG,
  bin,
  call,
  callPacked,
  DIMENSIONS,
  floats,
  IDS,
  LARGE,
  serve,
  smallIndex,
  vectorOf,
} from '../support/server.ts';

let server: ScanneryServer;
let expected: { ids: unknown[]; scores: number[] };
const query = [1, 0.5, 0.25, 0.125];

beforeAll(async () => {
  const index = await smallIndex();
  server = await serve({}, index);
  const { ids, scores } = await index.search(query, { k: 10 });
  expected = { ids: ids.map((id) => (typeof id === 'bigint' ? { bigint: String(id) } : id)), scores: [...scores] };
});

interface Found {
  readonly scores: readonly number[];
}
/** An answer with the numbers that its nine digits tell. */
const asFloats = <T extends Found>(answer: T): T => ({ ...answer, scores: answer.scores.map(Math.fround) });

describe('POST /v1/search', () => {
  const url = '/v1/search';

  it('answers as the index does, ids of every kind included', async () => {
    const { status, body } = await call(server, { url, body: { vector: query, k: 10 } });
    expect(status).toBe(200);
    expect(asFloats(body)).toEqual(expected);
    expect(body.ids).toContainEqual({ bigint: String(BIG) });
    expect(body.ids).toEqual(expect.arrayContaining([LARGE, 5, '5', 'ä/ö']));
  });

  it('answers MessagePack with floats and integers as they are', async () => {
    for (const vector of [query, bin(query)]) {
      const { status, body, headers } = await callPacked(server, url, { vector, k: 10 });
      expect(status).toBe(200);
      expect(headers['content-type']).toBe('application/msgpack');
      expect(body.ids.map((id: unknown) => (typeof id === 'bigint' ? Number(id) : id))).toEqual(expected.ids);
      expect(floats(body.scores)).toEqual(expected.scores);
    }
  });

  it('takes one encoding and answers in the other', async () => {
    const packed = await call(server, { url, body: { vector: query }, headers: { accept: 'application/msgpack' } });
    expect(floats(packed.body.scores)).toEqual(expected.scores);
    const { pack } = await import('../../src/protocol/packing.ts');
    const headers = { 'content-type': 'application/msgpack' };
    const plain = await call(server, { url, body: pack({ vector: bin(query) }), headers });
    expect(asFloats(plain.body)).toEqual(expected);
  });

  it.each([
    ['application/json', 'application/json'],
    ['*/*', 'application/json'],
    ['text/html, application/*', 'application/json'],
    ['application/msgpack, */*', 'application/msgpack'],
    ['application/json;q=0.5, application/msgpack', 'application/msgpack'],
    ['application/json, application/msgpack;q=0.9', 'application/json'],
    ['application/msgpack;q=0, */*', 'application/json'],
    ['Application/JSON', 'application/json'],
  ])('answers Accept: %s in %s', async (accept, type) => {
    const { headers } = await call(server, { url, body: { vector: query }, headers: { accept } });
    expect(headers['content-type']).toContain(type);
  });

  it('searches by the vector of a stored id, which it leaves out', async () => {
    const { body } = await call(server, { url, body: { id: 'a', k: 3 } });
    const direct = await call(server, { url, body: { vector: vectorOf(0), k: 3, excludeIds: ['a'] } });
    expect(body).toEqual(direct.body);
    expect(body.ids).toHaveLength(3);
    const big = await call(server, { url, body: { id: { bigint: String(BIG) }, excludeIds: ['a'], k: 10 } });
    expect(big.body.ids).toHaveLength(8);
    expect(big.body.ids).not.toContainEqual({ bigint: String(BIG) });
  });

  it('tells "5", 5 and {"bigint":"5"} apart', async () => {
    for (const id of ['5', 5, { bigint: '5' }]) {
      const { body } = await call(server, { url, body: { vector: query, k: 10, allowIds: [id] } });
      expect(body.ids).toEqual([id]);
    }
  });

  it('filters, crowds, and gives attributes', async () => {
    const filter = { allow: { colour: ['red', 'blue'] }, range: { price: { gte: 2 } } };
    const { body } = await call(server, { url, body: { vector: query, k: 10, filter, attributes: true } });
    expect(body.attributes.map(({ price }: { price: number }) => price).sort()).toEqual([2, 4, 6, 8]);
    const crowded = { vector: query, k: 10, filter, crowding: { attribute: 'colour', max: 1 }, attributes: true };
    const one = await call(server, { url, body: crowded });
    expect(one.body.attributes.map(({ colour }: { colour: string }) => colour).sort()).toEqual(['blue', 'red']);
    const without = await call(server, { url, body: { vector: query, allowIds: ['b'], attributes: true } });
    expect(without.body.attributes).toEqual([null]);
  });

  it('explains', async () => {
    for (const body of [
      { vector: query, explain: true },
      { id: 'b', explain: true },
    ]) {
      const { explanation } = (await call(server, { url, body })).body;
      expect(explanation.method).toBe('exact');
      expect(explanation.shards.length).toBeGreaterThan(0);
    }
  });

  it('answers queries that arrive together each by itself, the bad ones among them too', async () => {
    const bodies = Array.from({ length: 30 }, (_, i) => ({ vector: vectorOf(i % 10), k: 1 + (i % 3) }));
    const together = await Promise.all(bodies.map((body) => call(server, { url, body })));
    for (const [i, body] of bodies.entries()) {
      expect(together[i]!.body).toEqual((await call(server, { url, body })).body);
      expect(together[i]!.body.ids).toHaveLength(body.k);
    }
    const vectors = [bin([1, 2, 3, 4]), bin([1, 2, Number.NaN, 4]), bin([4, 3, 2, 1])];
    const mixed = await Promise.all(vectors.map((vector) => callPacked(server, url, { vector })));
    expect(mixed.map(({ status }) => status)).toEqual([200, 400, 200]);
  });
});

describe('POST /v1/search/batch', () => {
  const url = '/v1/search/batch';
  const vectors = IDS.map((_, i) => vectorOf(i));

  it('answers each query as /v1/search does', async () => {
    const { body } = await call(server, { url, body: { vectors, k: 3, attributes: true } });
    expect(body.results).toHaveLength(vectors.length);
    for (const [i, vector] of vectors.entries()) {
      const one = await call(server, { url: '/v1/search', body: { vector, k: 3, attributes: true } });
      expect(body.results[i]).toEqual(one.body);
    }
  });

  it('takes rows as bin or as arrays in MessagePack', async () => {
    const plain = (await call(server, { url, body: { vectors, k: 2 } })).body.results;
    for (const given of [bin(...vectors), vectors]) {
      const { results } = (await callPacked(server, url, { vectors: given, k: 2 })).body;
      expect(results.map(({ scores }: { scores: Uint8Array }) => floats(scores))).toEqual(
        plain.map((answer: Found) => asFloats(answer).scores),
      );
    }
  });

  it('filters and explains each', async () => {
    const body = { vectors: vectors.slice(0, 2), explain: true, filter: { allow: { colour: ['blue'] } } };
    const { results } = (await call(server, { url, body })).body;
    expect(results.map(({ explanation }: { explanation: { filter: object } }) => explanation.filter)).toEqual([
      expect.objectContaining({ estimatedMatches: 2 }),
      expect.objectContaining({ estimatedMatches: 2 }),
    ]);
  });

  it('refuses bin that is no whole number of rows', async () => {
    const { status, body } = await callPacked(server, url, { vectors: bin([1, 2, 3, 4, 5]) });
    expect([status, body.error.code]).toEqual([400, 'SCANNERY_INVALID_VECTOR']);
    expect(body.error.message).toContain(`${DIMENSIONS} dimensions`);
  });
});
