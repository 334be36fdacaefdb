import { beforeAll, describe, expect, it } from 'vitest';
import type { ScanneryServer } from '../../src/server/index.ts';
import { BIG, bin, call, callPacked, floats, LARGE, serve, vectorOf } from '../support/server.ts';

let server: ScanneryServer;

const url = '/v1/vectors';
const get = (path: string) => call(server, { url: `${url}/${path}` });
const remove = (path: string) => call(server, { method: 'DELETE', url: `${url}/${path}` });

describe('ids in paths', () => {
  beforeAll(async () => {
    server = await serve();
  });

  it.each([
    ['a', 'a'],
    // The text wins over the integer that it writes.
    ['5', '5'],
    ['7', 7],
    ['5?type=string', '5'],
    ['5?type=integer', 5],
    ['5?type=bigint', { bigint: '5' }],
    [`${BIG}?type=bigint`, { bigint: String(BIG) }],
    [String(LARGE), LARGE],
    [encodeURIComponent('ä/ö'), 'ä/ö'],
  ])('%s is %j', async (path, id) => {
    const { status, body } = await get(path);
    expect(status).toBe(200);
    expect(body.id).toEqual(id);
  });

  it.each(['nobody', '8', '07', '7.0', '7?type=string', '9?type=bigint', '%00'])('%s is nobody', async (path) => {
    for (const { status, body } of [await get(path), await remove(path)]) {
      expect([status, body.error.code]).toEqual([404, 'NOT_FOUND']);
    }
  });

  it.each([
    'x?type=integer',
    '9007199254740993?type=integer',
    '1.5?type=bigint',
    '0x5?type=bigint',
    '5?type=float',
    '5?kind=x',
  ])('%s is refused', async (path) => {
    for (const { status, body } of [await get(path), await remove(path)]) {
      expect([status, body.error.code]).toEqual([400, 'SCANNERY_INVALID_OPTION']);
    }
  });

  it('are not rounded', async () => {
    // 2^63 - 1 as a number is 2^63, which nobody has.
    expect((await get(String(BIG))).status).toBe(404);
    const { status, body } = await call(server, { url, body: `{"ids":[9007199254740993],"vectors":[[1,2,3,4]]}` });
    expect([status, body.error.code, body.error.row]).toEqual([400, 'SCANNERY_INVALID_ID', 0]);
  });
});

describe('GET /v1/vectors/{id}', () => {
  it('gives vector and attributes, in both encodings', async () => {
    const { body } = await get('a');
    expect(body).toEqual({ id: 'a', vector: vectorOf(0).map(Math.fround), attributes: { colour: 'red', price: 0 } });
    expect((await get('b')).body).toEqual({ id: 'b', vector: vectorOf(1).map(Math.fround) });
    const packed = await call(server, { url: `${url}/a`, headers: { accept: 'application/msgpack' } });
    expect(floats(packed.body.vector)).toEqual(body.vector);
    expect(packed.body.attributes).toEqual(body.attributes);
  });
});

describe('POST /v1/vectors', () => {
  beforeAll(async () => {
    server = await serve();
  });

  it('adds and replaces, with ids of every kind', async () => {
    const ids = ['new', 'a', 7, { bigint: '7' }, { bigint: '-9223372036854775808' }];
    const vectors = ids.map((_, i) => [i, 1, 1, 1]);
    const attributes = [{ tags: ['x', 'y'], sold: true }, null, { price: 1.5 }, {}, { gone: null }];
    const { status, body } = await call(server, { url, body: { ids, vectors, attributes } });
    expect([status, body]).toEqual([200, { inserted: 3, updated: 2 }]);
    expect((await get('new')).body.attributes).toEqual({ tags: ['x', 'y'], sold: true });
    expect((await get('7?type=bigint')).body).toEqual({ id: { bigint: '7' }, vector: [3, 1, 1, 1] });
    expect((await get('a')).body).toEqual({ id: 'a', vector: [1, 1, 1, 1] });
  });

  it('takes bin in MessagePack, and integers of 64 bits where numbers hold them', async () => {
    const ids = [1, 2 ** 33, BigInt(2 ** 52)];
    const { status, body } = await callPacked(server, url, {
      ids,
      vectors: bin([1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]),
    });
    expect([status, body]).toEqual([200, { inserted: 3, updated: 0 }]);
    expect((await get(`${2 ** 52}?type=integer`)).body).toEqual({ id: 2 ** 52, vector: [3, 4, 5, 6] });
    const large = await callPacked(server, url, { ids: [2n ** 60n], vectors: bin([1, 2, 3, 4]) });
    expect([large.status, large.body.error.code]).toEqual([400, 'SCANNERY_INVALID_ID']);
  });

  it.each([
    [
      'a repeated id',
      {
        ids: ['x', 'x'],
        vectors: [
          [1, 2, 3, 4],
          [1, 2, 3, 4],
        ],
      },
      'SCANNERY_DUPLICATE_ID',
      1,
    ],
    ['a missing vector', { ids: ['x', 'y'], vectors: [[1, 2, 3, 4]] }, 'SCANNERY_INVALID_ID', 1],
    [
      'a short vector',
      {
        ids: ['x', 'y'],
        vectors: [
          [1, 2, 3, 4],
          [1, 2, 3],
        ],
      },
      'SCANNERY_INVALID_VECTOR',
      1,
    ],
    [
      'an attribute of another kind',
      { ids: ['x'], vectors: [[1, 2, 3, 4]], attributes: [{ price: 'cheap' }] },
      'SCANNERY_INVALID_ATTRIBUTE',
      0,
    ],
    [
      'an attribute that is an object',
      { ids: ['x'], vectors: [[1, 2, 3, 4]], attributes: [{ a: {} }] },
      'SCANNERY_INVALID_ATTRIBUTE',
      0,
    ],
    ['a fraction as id', { ids: [1.5], vectors: [[1, 2, 3, 4]] }, 'SCANNERY_INVALID_ID', 0],
  ])('refuses %s and changes nothing', async (_, body, code, row) => {
    const answer = await call(server, { url, body });
    expect([answer.status, answer.body.error.code, answer.body.error.row]).toEqual([400, code, row]);
    expect((await get('x')).status).toBe(404);
  });
});

describe('deleting', () => {
  beforeAll(async () => {
    server = await serve();
  });

  it('one deletes it for good', async () => {
    expect((await remove('5')).body).toEqual({ deleted: 1, unknown: 0 });
    expect((await get('5?type=string')).status).toBe(404);
    // The integer is next that is written so.
    expect((await remove('5')).body).toEqual({ deleted: 1, unknown: 0 });
    expect((await remove('5')).status).toBe(404);
    expect((await get('5?type=bigint')).status).toBe(200);
  });

  it('many counts those that are unknown', async () => {
    const ids = ['a', 7, { bigint: '5' }, 'nobody', 'a'];
    const { body } = await call(server, { url: `${url}/delete`, body: { ids } });
    expect(body).toEqual({ deleted: 3, unknown: 2 });
    expect((await callPacked(server, `${url}/delete`, { ids: ['b', 'a'] })).body).toEqual({ deleted: 1, unknown: 1 });
  });
});
