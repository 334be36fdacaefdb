import { describe, expect, it } from 'vitest';
import { BruteForce, load } from '../../../src/recommender/index.ts';
import { candidates, deep, films, post, predict, send } from '../../support/model-app.ts';
import { Random } from '../../support/random.ts';

describe('predict', () => {
  it('answers in row format as the layer does', async () => {
    await using layer = await load(`${films}/123`);
    const [scores, titles] = await layer.call(['42', 'nobody']);
    for (const url of ['films:predict', 'films/versions/123:predict']) {
      const { status, json } = await post(url, { signature_name: 'serving_default', instances: ['42', 'nobody'] });
      expect(status).toBe(200);
      const { predictions } = json as { predictions: { output_1: number[]; output_2: string[] }[] };
      expect(predictions.map(({ output_1 }) => Float32Array.from(output_1))).toEqual(scores);
      expect(predictions).toEqual(
        titles.map((output_2) => ({ output_1: expect.any(Array), output_2: output_2 as string[] })),
      );
    }
  });

  it('answers in column format as the layer does', async () => {
    const rows = await predict('films', { instances: ['42', '7', 'zoë'] });
    const { predictions } = rows.json as { predictions: { output_1: number[]; output_2: string[] }[] };
    const outputs = {
      output_1: predictions.map(({ output_1 }) => output_1),
      output_2: predictions.map(({ output_2 }) => output_2),
    };
    for (const inputs of [['42', '7', 'zoë'], { input_1: ['42', '7', 'zoë'] }]) {
      expect((await predict('films', { inputs })).json).toEqual({ outputs });
    }
    expect((await predict('films', { inputs: [] })).json).toEqual({ outputs: { output_1: [], output_2: [] } });
  });

  it('takes values by name, and Base64', async () => {
    const { json } = await predict('films', { signature_name: '', instances: ['zoë', '7'] });
    for (const instances of [
      [{ input_1: 'zoë' }, { input_1: '7' }],
      [{ b64: 'em/Dqw==' }, { b64: 'Nw' }],
      [{ input_1: { b64: 'em/Dqw' } }, { input_1: '7' }],
    ]) {
      expect((await predict('films', { instances })).json).toEqual(json);
    }
  });

  it('takes several features', async () => {
    await using layer = await new BruteForce({ queryModel: deep, k: 2 }).index(new Random(6).normals(9, 16), [
      ...'abcdefghi',
    ]);
    const [scores, ids] = await layer.call({ user: ['42', 'zoë'], age: [7, 99] });
    const rows = await predict('deep', {
      instances: [
        { user: '42', age: 7 },
        { age: 99, user: 'zoë' },
      ],
    });
    const { predictions } = rows.json as { predictions: { output_1: number[]; output_2: string[] }[] };
    expect(predictions.map(({ output_1 }) => Float32Array.from(output_1))).toEqual(scores);
    expect(predictions.map(({ output_2 }) => output_2)).toEqual(ids);
    const columns = await predict('deep', { inputs: { user: ['42', 'zoë'], age: [7, 99] } });
    expect(columns.json).toMatchObject({ outputs: { output_2: ids } });
  });

  it('takes embeddings where there is no query model, and answers with row numbers where there are no identifiers', async () => {
    await using layer = await new BruteForce({ k: 3 }).index(
      Array.from({ length: 20 }, (_, i) => candidates.subarray(2 * i, 2 * i + 2)),
    );
    const [, rows] = await layer.call([
      [1, 0],
      [0.5, -1e3],
    ]);
    const body = [
      [1, 0],
      [0.5, -1e3],
    ];
    expect((await predict('plain', { inputs: body })).json).toMatchObject({ outputs: { output_2: rows } });
    expect((await predict('plain', { instances: body })).json).toMatchObject({
      predictions: rows.map((output_2) => ({ output_2 })),
    });
  });

  it('writes scores as 32-bit floats and integers of 64 bits in full', async () => {
    const { text } = await predict('big', { instances: [[0.1, 0]] });
    expect(text).toBe('{"predictions":[{"output_1":[0.1,0.025],"output_2":[9223372036854775807,"a \\"b\\" \u2028"]}]}');
    const whole = await predict('big', { inputs: [[4, 0]] });
    expect(whole.text).toContain('"output_1":[[4.0,1.0]]');
  });

  it('takes what a query model that cannot say its inputs is given', async () => {
    const plain = await predict('plain', {
      inputs: [
        [3, 0],
        [2, 5],
      ],
    });
    const named = [
      { text: 'abc', n: 0 },
      { n: 5, text: 'ab' },
    ];
    const { outputs } = plain.json as { outputs: { output_2: number[][] } };
    const { predictions } = (await predict('opaque', { instances: named })).json as { predictions: unknown[] };
    expect(predictions).toMatchObject(outputs.output_2.map((output_2) => ({ output_2 })));
    expect((await predict('opaque', { inputs: { text: ['abc', 'ab'], n: [0, 5] } })).json).toEqual(plain.json);
    expect((await predict('opaque', { instances: ['abc'] })).json).toEqual({ predictions: [predictions[0]] });
  });

  it('answers with nothing where there are no candidates', async () => {
    expect((await predict('none', { instances: [[1, 2]] })).json).toEqual({
      predictions: [{ output_1: [], output_2: [] }],
    });
  });

  it('reads JSON whatever it is called, as TensorFlow Serving does', async () => {
    const { json } = await predict('films', { instances: ['42'] });
    for (const type of ['application/x-www-form-urlencoded', 'text/plain; charset=utf-8', undefined]) {
      const headers = type === undefined ? {} : { 'content-type': type };
      const options = { method: 'POST', url: '/v1/models/films:predict', headers } as const;
      expect((await send({ ...options, payload: '\ufeff{"instances": ["42"], "other": 1}' })).json).toEqual(json);
    }
  });

  it('finds models by names of any characters', async () => {
    const { status } = await predict(encodeURIComponent('ü.x-y 1'), { instances: [[1, 2]] });
    expect(status).toBe(200);
  });
});
