import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { get, post, predict, send } from '../../support/model-app.ts';

describe('predict refuses', () => {
  it.each<[string, unknown, string]>([
    ['films', [], 'the body must be a JSON object, received a list'],
    ['films', {}, "Missing 'inputs' or 'instances' key"],
    ['films', { instances: ['42'], inputs: ['42'] }, "either 'instances' or 'inputs', not both"],
    ['films', { instances: '42' }, "instances must be a list, received '42'"],
    ['films', { instances: [] }, "No values in 'instances' array"],
    ['films', { instances: ['42', 7] }, 'instances[1] must be a string, received 7'],
    ['films', { instances: ['42', null] }, 'instances[1] must be a string, received null'],
    ['films', { instances: [['42']] }, 'instances[0] must be a string, received a list'],
    ['films', { instances: ['42', { input_1: '7' }] }, 'instances[1] must be a value, as those before it'],
    ['films', { instances: [{ input_1: '7' }, '42'] }, 'instances[1] must be an object, as those before it'],
    ['films', { instances: [{ user: '7' }] }, "instances[0] has the unknown input 'user'; inputs are input_1"],
    ['films', { instances: [{}] }, "instances[0] lacks the input 'input_1'"],
    ['films', { instances: [{ b64: '!' }] }, 'instances[0] must be Base64 under b64'],
    ['films', { instances: [{ b64: 'A' }] }, 'instances[0] must be Base64 under b64'],
    ['films', { instances: [{ b64: '/w==' }] }, 'instances[0] must be Base64 of UTF-8 text'],
    ['films', { inputs: '42' }, "inputs must be a list, one value per query, received '42'"],
    ['films', { inputs: ['42', false] }, 'inputs[1] must be a string, received false'],
    ['films', { signature_name: 7, instances: ['42'] }, 'signature_name must be a string, received 7'],
    ['films', { signature_name: 'x', instances: ['42'] }, 'Serving signature name: "x" not found in signature def'],
    ['deep', { instances: ['42'] }, 'instances[0] must be an object of user, age'],
    ['deep', { instances: [{ user: '42', age: 1 }, { user: '7' }] }, "instances[1] lacks the input 'age'"],
    ['deep', { instances: [{ user: '42', age: 1.5 }] }, 'instances[0].age must be an integer, received 1.5'],
    ['deep', { instances: [{ user: '42', age: 100 }] }, 'row 0 of age must be an integer from 0 to 99'],
    ['deep', { inputs: ['42'] }, 'inputs must be an object of user, age'],
    ['deep', { inputs: { user: ['42', '7'], age: [1] } }, 'inputs.age has 1 values where inputs.user has 2'],
    ['deep', { inputs: { user: '42', age: [1] } }, "inputs.user must be a list, one value per query, received '42'"],
    ['deep', { inputs: { user: ['42'], age: [1], sex: [1] } }, "inputs has the unknown input 'sex'"],
    ['deep', JSON.parse('{"inputs":{"user":["42"],"age":[1],"__proto__":[1]}}'), "unknown input '__proto__'"],
    ['plain', { instances: [[1, 2], [1]] }, 'instances[1] must be a list of 2 numbers, received a list of 1'],
    ['plain', { instances: [[1, '2']] }, "instances[0][1] must be a number, received '2'"],
    ['plain', { instances: ['42'] }, "instances[0] must be a list of 2 numbers, received '42'"],
    [
      'plain',
      {
        instances: [
          [1, 1],
          [1, 1e30],
        ],
      },
      'query 1',
    ],
    ['opaque', { instances: [{}] }, 'at least one named input'],
    ['opaque', { instances: [true] }, 'instances[0] must be a string or a number, received true'],
  ])('%s %j', async (name, body, message) => {
    const { status, json } = await predict(name, body);
    expect(json).toEqual({ error: expect.stringContaining(message) });
    expect(status).toBe(400);
  });

  it.each([
    ['', 'JSON Parse error'],
    ['{"instances": ["42"]', 'JSON Parse error'],
    ['{"instances": [NaN]}', 'JSON Parse error'],
    [Buffer.from([0x22, 0xff, 0x22]), 'JSON Parse error'],
    [`{"instances": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'instances[0] must be a string, received a list'],
  ])('the body %.20s', async (payload, message) => {
    const headers = { 'content-type': 'application/json' };
    const { status, json } = await send({ method: 'POST', url: '/v1/models/films:predict', headers, payload });
    expect(json).toEqual({ error: expect.stringContaining(message) });
    expect(status).toBe(400);
  });

  it('numbers that no 32-bit float can hold', async () => {
    const payload = '{"instances": [[1, 1e999]]}';
    const { status } = await send({ method: 'POST', url: '/v1/models/plain:predict', payload });
    expect(status).toBe(400);
  });

  it('a body that is too large, work that takes too long, and what a server has no room for', async () => {
    const large = await predict('films', { instances: ['x'.repeat(2 ** 20)] });
    expect(large.status).toBe(413);
    expect(large.json).toEqual({ error: expect.any(String) });
    const options = { method: 'POST', url: '/v1/models/films:predict', payload: { instances: ['42', '7'] } } as const;
    const late = await send({ ...options, headers: { 'x-late': '1' } });
    expect(late.status).toBe(504);
    const full = await send({ ...options, headers: { 'x-full': '1' } });
    expect([full.status, full.json, full.headers['retry-after']]).toEqual([503, { error: '2 are too many' }, '7']);
  });

  it('more queries, or more results, than are allowed', async () => {
    const five = await predict('plain', { instances: Array(5).fill([1, 2]) });
    expect(five.json).toEqual({ error: 'the request must be of at most 4 queries, received 5' });
    const four = await predict('films', { instances: Array(4).fill('42') });
    expect(four.json).toEqual({ error: 'the request must be of at most 3 queries with 5 results each, received 4' });
    expect([five.status, four.status]).toEqual([400, 400]);
  });

  it.each([
    ['nobody:predict', 'Latest(nobody)'],
    ['empty:predict', 'Latest(empty)'],
    ['films/versions/2:predict', 'Specific(films, 2)'],
    ['..%2f..%2fetc:predict', 'Latest(../../etc)'],
    ['constructor:predict', 'Latest(constructor)'],
    ['%00:predict', 'Latest(\u0000)'],
    ['films/versions/x:predict', undefined],
    ['films/versions/1x:predict', undefined],
    ['films:regress', undefined],
    ['films:classify', undefined],
    ['films', undefined],
  ])('POST %s', async (url, servable) => {
    const { status, json } = await post(url, { instances: ['42'] });
    if (servable === undefined) {
      expect(json).toEqual({ error: `Malformed request: POST /v1/models/${url}` });
      expect(status).toBe(400);
    } else {
      expect(json).toEqual({ error: `Servable not found for request: ${servable}` });
      expect(status).toBe(404);
    }
  });

  it('anything else that is JSON, without failing', async () => {
    const names = fc.constantFrom('input_1', 'user', 'age', 'b64', '__proto__');
    const embedding = fc.array(fc.double(), { minLength: 2, maxLength: 2 });
    const value = fc.oneof(
      ...[fc.string(), embedding, fc.jsonValue({ maxDepth: 3 }), fc.dictionary(names, fc.jsonValue({ maxDepth: 1 }))],
    );
    const instances = fc.array(value, { maxLength: 3 });
    const inputs = fc.oneof(instances, value);
    const any = fc.record({ instances, inputs, signature_name: value }, { requiredKeys: [] });
    const body = fc.oneof(fc.record({ instances }), fc.record({ inputs }), any);
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('films', 'deep', 'plain', 'none'), body, async (name, sent) => {
        const { status, json } = await predict(name, sent);
        expect([200, 400]).toContain(status);
        expect(Object.keys(json as object)).toHaveLength(1);
        seen.add(status);
      }),
      { seed: 13, numRuns: 500 },
    );
    expect(seen.size).toBe(2);
  });

  it('labels, of which there are none', async () => {
    const answers = [
      await post('films/labels/stable:predict', { instances: ['42'] }),
      await get('films/labels/stable'),
      await get('films/labels/stable/metadata'),
    ];
    for (const { status, json } of answers) {
      expect(json).toEqual({ error: 'Unrecognized servable version label: stable' });
      expect(status).toBe(400);
    }
  });
});
