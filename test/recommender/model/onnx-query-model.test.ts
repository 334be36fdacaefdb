import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Index } from '../../../src/index.ts';
import type { Features } from '../../../src/recommender/model/features.ts';
import { OnnxQueryModel, type OnnxQueryModelOptions } from '../../../src/recommender/model/onnx-query-model.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';
import { root } from '../../support/installed-package.ts';
import {
  attributes,
  type Element,
  type Graph,
  installOnnxRuntime,
  onnxModel,
  onnxRuntimeOf,
} from '../../support/onnx-model.ts';

const directory = temporaryDirectory();
let project: string;
let runtime: Record<string, unknown>;
beforeAll(async () => {
  project = await installOnnxRuntime(directory);
  runtime = onnxRuntimeOf(project);
}, 240_000);

function write(name: string, graph: Graph): string {
  const path = join(directory, name);
  writeFileSync(path, onnxModel(graph));
  return path;
}

/** Embeddings of users by number: row i is (i, 10 i). */
const table = { name: 'table', shape: [4, 2], values: [0, 0, 1, 10, 2, 20, 3, 30] };
const gather = { op: 'Gather', inputs: ['table', 'row'], output: 'embedding' };
const embedding = { name: 'embedding', type: 'float32', shape: ['n', 2] } as const;

const byRow = (type: Element = 'int64'): Graph => ({
  nodes: [gather],
  constants: [table],
  inputs: [{ name: 'row', type, shape: ['n'] }],
  outputs: [embedding],
});
/** Names of users to embeddings; unknown ones are row 0. */
const byName: Graph = {
  nodes: [
    {
      op: 'LabelEncoder',
      domain: 'ai.onnx.ml',
      inputs: ['user'],
      output: 'row',
      attributes: [
        attributes.strings('keys_strings', ['ada', 'bob', 'eve']),
        attributes.integers('values_int64s', [1, 2, 3]),
        attributes.integer('default_int64', 0),
      ],
    },
    gather,
  ],
  constants: [table],
  inputs: [{ name: 'user', type: 'string', shape: ['n'] }],
  outputs: [embedding],
};
/** x [n x 3] times a matrix [3 x 2]. */
const linear = (type: 'float32' | 'float64' = 'float32', rows: number | string = 'n'): Graph => ({
  nodes: [
    ...(type === 'float64'
      ? [{ op: 'Cast', inputs: ['x'], output: 'cast', attributes: [attributes.integer('to', 1)] }]
      : []),
    { op: 'MatMul', inputs: [type === 'float64' ? 'cast' : 'x', 'weights'], output: 'embedding' },
  ],
  constants: [{ name: 'weights', shape: [3, 2], values: [1, 2, 3, 4, 5, 6] }],
  inputs: [{ name: 'x', type, shape: [rows, 3] }],
  outputs: [{ ...embedding, shape: [rows, 2] }],
});
/** The embedding of a user's row, plus the age [n x 1] times (100, 1000); another output has the row itself. */
const both: Graph = {
  nodes: [
    { ...gather, output: 'of_row' },
    { op: 'MatMul', inputs: ['age', 'weights'], output: 'of_age' },
    { op: 'Add', inputs: ['of_row', 'of_age'], output: 'embedding' },
    { op: 'Identity', inputs: ['row'], output: 'same' },
  ],
  constants: [table, { name: 'weights', shape: [1, 2], values: [100, 1000] }],
  inputs: [
    { name: 'row', type: 'int64', shape: ['n'] },
    { name: 'age', type: 'float32', shape: ['n', 1] },
  ],
  outputs: [embedding, { name: 'same', type: 'int64', shape: ['n'] }],
};
const BOTH = { output: 'embedding' };
const THREE = { inputs: { a: 'x', b: 'x', c: 'x' } };

/** The runtime as it was before it told the types and shapes of inputs and outputs. */
function withoutMetadata(): unknown {
  const { InferenceSession, Tensor } = runtime as {
    InferenceSession: { create(path: string): Promise<Record<string, unknown>> };
    Tensor: unknown;
  };
  const create = async (path: string): Promise<object> => {
    const session = await InferenceSession.create(path);
    const hidden = ['inputMetadata', 'outputMetadata'];
    return new Proxy(session, {
      get: (target, name) => {
        const value = hidden.includes(String(name)) ? undefined : target[name as string];
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  return { InferenceSession: { create }, Tensor };
}

async function embeddings(path: string, batch: Features, options: OnnxQueryModelOptions = {}): Promise<number[]> {
  await using model = await OnnxQueryModel.load(path, { runtime, ...options });
  return [...(await model.embed(batch))];
}

describe.each(['with', 'without'])('a runtime %s types and shapes of inputs', (metadata) => {
  const given = (): { runtime: unknown } => ({ runtime: metadata === 'with' ? runtime : withoutMetadata() });

  it('takes strings', async () => {
    const path = write('by-name.onnx', byName);
    expect(await embeddings(path, ['bob', 'eve', 'nobody'], given())).toEqual([2, 20, 3, 30, 0, 0]);
    expect(await embeddings(path, { user: ['ada'] }, given())).toEqual([1, 10]);
    expect(await embeddings(path, { id: ['ada'] }, { ...given(), inputs: { id: 'user' } })).toEqual([1, 10]);
    expect(await embeddings(path, ['ada'], { ...given(), inputs: { id: 'user' } })).toEqual([1, 10]);
  });

  it('takes bigints', async () => {
    expect(await embeddings(write('by-row.onnx', byRow()), [3n, 0n, -3n], given())).toEqual([3, 30, 0, 0, 1, 10]);
  });

  it('takes 32-bit integers', async () => {
    const path = write('by-int32.onnx', byRow('int32'));
    expect(await embeddings(path, Int32Array.of(3, 1), given())).toEqual([3, 30, 1, 10]);
  });

  it('takes several features as the columns of an input, in the order given', async () => {
    const path = write('linear.onnx', linear());
    const batch = { c: [5, 0], a: Float32Array.of(1, 0), b: Float64Array.of(2, 1) };
    expect(await embeddings(path, batch, { ...given(), ...THREE })).toEqual([1 + 6 + 25, 2 + 8 + 30, 3, 4]);
    const turned = { inputs: { c: 'x', b: 'x', a: 'x' } };
    expect(await embeddings(path, batch, { ...given(), ...turned })).toEqual([5 + 6 + 5, 10 + 8 + 6, 3, 4]);
  });

  it('copies the output, and takes a batch after another', async () => {
    await using model = await OnnxQueryModel.load(write('by-row.onnx', byRow()), given());
    const [first, second] = await Promise.all([model.embed([1n]), model.embed([2n, 3n])]);
    expect([...first!, ...second!]).toEqual([1, 10, 2, 20, 3, 30]);
    expect(first!.buffer.byteLength).toBe(8);
    first!.fill(7);
    expect([...(await model.embed([1n]))]).toEqual([1, 10]);
  });

  it('has nothing to do for no examples', async () => {
    await using model = await OnnxQueryModel.load(write('by-row.onnx', byRow()), given());
    expect(await model.embed([])).toEqual(new Float32Array(0));
    expect(await model.embed({ row: [] })).toEqual(new Float32Array(0));
  });

  it('refuses an output of another type or shape', async () => {
    const path = write('both.onnx', both);
    const whole = async (options: OnnxQueryModelOptions) => {
      await using model = await OnnxQueryModel.load(path, { ...given(), ...options });
      return model.embed(
        metadata === 'with' ? { row: [1, 2, 3], age: [1, 2, 3] } : { row: [1n, 2n, 3n], age: [1, 2, 3] },
      );
    };
    if (metadata === 'without') {
      // The model wants [n x 1], which this runtime does not say, and [n] times [1 x 2] is no product.
      const error = await failureOf(whole(BOTH));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'features' });
      expect(error.cause).toBeInstanceOf(Error);
    } else {
      const error = await failureOf(whole({ output: 'same' }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'output', value: 'same' });
      expect(error.message).toMatch(/'same' must be float32 \[n x dimensions\], and is int64 \[n\]/);
    }
    const wide = write('wide.onnx', linear());
    const error = await failureOf(
      embeddings(wide, { a: [1], b: [1], c: [1] }, { ...given(), ...THREE, dimensions: 5 }),
    );
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'output', value: 'embedding' });
    expect(error.message).toMatch(/must be float32 \[(n|1) x 5\], and is float32 \[(n|1) x 2\]/);
    const flat = write('flat.onnx', {
      nodes: [{ op: 'Identity', inputs: ['x'], output: 'y' }],
      inputs: [{ name: 'x', type: 'float32', shape: ['n'] }],
      outputs: [{ name: 'y', type: 'float32', shape: ['n'] }],
    });
    expect((await failureOf(embeddings(flat, [1], given()))).message).toMatch(/and is float32 \[(n|1)\]/);
  });

  it('says what fails within the model', async () => {
    await using model = await OnnxQueryModel.load(write('by-row.onnx', byRow()), given());
    const error = await failureOf(model.embed([9n]));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'features' });
    expect(error.message).toMatch(/the model cannot be run on these features: /);
    expect(error.cause).toBeInstanceOf(Error);
    expect([...(await model.embed([1n]))]).toEqual([1, 10]);
  });
});

describe('types and shapes of inputs', () => {
  it('decide what numbers become', async () => {
    expect(await embeddings(write('by-row.onnx', byRow()), [3, 1n as never, 0])).toEqual([3, 30, 1, 10, 0, 0]);
    expect(await embeddings(write('by-int32.onnx', byRow('int32')), [3, 0])).toEqual([3, 30, 0, 0]);
    const batch = { a: [1], b: [2], c: [5] };
    expect(await embeddings(write('double.onnx', linear('float64')), batch, THREE)).toEqual([32, 40]);
  });

  it('decide about [n] or [n x 1]', async () => {
    const batch = { row: [3n, 1n], age: [1, 2] };
    expect(await embeddings(write('both.onnx', both), batch, BOTH)).toEqual([103, 1030, 201, 2010]);
  });

  it('give the number of dimensions beforehand', async () => {
    const path = write('by-row.onnx', byRow());
    await using model = await OnnxQueryModel.load(path, { runtime });
    expect(model.dimensions).toBe(2);
    await using old = await OnnxQueryModel.load(path, { runtime: withoutMetadata() });
    expect(old.dimensions).toBeUndefined();
    await using told = await OnnxQueryModel.load(path, { runtime: withoutMetadata(), dimensions: 2 });
    expect(told.dimensions).toBe(2);
    expect([...(await told.embed([1n]))]).toEqual([1, 10]);
  });

  it.each([
    [
      'text for a number',
      byRow(),
      ['1'],
      /features\.row must have a safe integer .* in row 0 for the int64 input 'row'/,
    ],
    ['a fraction', byRow(), [0.5], /received 0\.5/],
    ['a number beyond the safe ones', byRow(), [2 ** 53], /received 9007199254740992/],
    ['more than 64 bits', byRow(), [1n << 63n], /received 9223372036854775808n/],
    ['more than 32 bits', byRow('int32'), [2 ** 31], /an integer of 32 bits/],
    ['a number for text', byName, [1], /features\.user must have a string in row 0/],
    ['a hole', byName, [undefined as never], /received undefined/],
  ])('refuse %s', async (_, graph, batch: Features, message) => {
    await using model = await OnnxQueryModel.load(write('refusing.onnx', graph), { runtime });
    const error = await failureOf(model.embed(batch));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', row: 0 });
    expect(error.option).toMatch(/^features\.(row|user)$/);
    expect(error.message).toMatch(message);
  });

  it('are told where they do not fit the features', async () => {
    const path = write('linear.onnx', linear());
    const one = await failureOf(OnnxQueryModel.load(path, { runtime }));
    expect(one).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'inputs', value: 'x' });
    expect(one.message).toBe("the model's input 'x' is float32 [n x 3], which x cannot fill");
    const two = await failureOf(OnnxQueryModel.load(path, { runtime, inputs: { a: 'x', b: 'x' } }));
    expect(two.message).toContain('which a, b cannot fill');
  });

  it('of a fixed number of examples make other numbers fail', async () => {
    const path = write('fixed.onnx', linear('float32', 2));
    expect(await embeddings(path, { a: [0, 1], b: [1, 0], c: [0, 0] }, THREE)).toEqual([3, 4, 1, 2]);
    const error = await failureOf(embeddings(path, { a: [0], b: [1], c: [0] }, THREE));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'features' });
  });
});

describe('features', () => {
  it.each<[string, Features, RegExp]>([
    ['without a column', { row: [1n] }, /features lack age, for the model's input 'age'/],
    [
      'with a column too many',
      { row: [1n], age: [1], height: [2] },
      /no input for the feature height; it takes row, age/,
    ],
    ['in one column', [1n], /must be columns by name: row, age/],
    ['of different lengths', { row: [1n], age: [1, 2] }, /features\.age has 2 values/],
    ['that are none', 5 as never, /a column, or columns by name/],
    ['with no column', {}, /a column, or columns by name/],
  ])('%s are refused', async (_, batch, message) => {
    await using model = await OnnxQueryModel.load(write('both.onnx', both), { runtime, ...BOTH });
    const error = await failureOf(model.embed(batch));
    expect(error.code).toBe('SCANNERY_INVALID_OPTION');
    expect(error.option).toMatch(/^features/);
    expect(error.message).toMatch(message);
  });
});

describe('options', () => {
  it.each<[string, OnnxQueryModelOptions, string | RegExp]>([
    ['output', {}, 'output must be an output of the model: embedding, same, received undefined'],
    ['output', { output: 'other' }, /an output of the model: embedding, same/],
    ['output', { output: 5 as never }, /a non-empty string/],
    [
      'inputs.user',
      { ...BOTH, inputs: { user: 'usr' } },
      "inputs.user must be an input of the model: row, age, received 'usr'",
    ],
    ['inputs', { inputs: [] as never }, /an object/],
    ['inputs.a', { inputs: { a: 1 as never } }, /a non-empty string/],
    ['dimensions', { dimensions: 0 }, /an integer of at least 1/],
    ['session', { session: 'fast' as never }, /an object/],
    ['runtime', { runtime: {} }, 'runtime must be the module onnxruntime-node, received an object (Object)'],
    ['runtime', { runtime: null }, /runtime must be the module/],
    ['threads', { threads: 1 } as never, /unknown option threads/],
  ])('%s may not be %j', async (option, options, message) => {
    const error = await failureOf(OnnxQueryModel.load(write('both.onnx', both), { runtime, ...options }));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option });
    expect(error.message).toMatch(message);
  });

  it('for the session reach it', async () => {
    const { InferenceSession, Tensor } = runtime as {
      InferenceSession: { create: () => Promise<object> };
      Tensor: object;
    };
    const create = vi.fn(InferenceSession.create.bind(InferenceSession));
    const session = { intraOpNumThreads: 1 };
    const path = write('by-row.onnx', byRow());
    await using model = await OnnxQueryModel.load(path, { runtime: { InferenceSession: { create }, Tensor }, session });
    expect(create.mock.calls).toEqual([[path, session]]);
    expect([...(await model.embed([1n]))]).toEqual([1, 10]);
  });

  it('may have the runtime as it was imported', async () => {
    const path = write('by-row.onnx', byRow());
    expect(await embeddings(path, [1n], { runtime: { default: runtime } })).toEqual([1, 10]);
  });
});

describe('a file', () => {
  it('that is not there is not found', async () => {
    const path = join(directory, 'nowhere', 'model.onnx');
    expect(await failureOf(OnnxQueryModel.load(path, { runtime }))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path });
    const below = join(write('by-row.onnx', byRow()), 'model.onnx');
    expect(await failureOf(OnnxQueryModel.load(below, { runtime }))).toMatchObject({ code: 'SCANNERY_NOT_FOUND' });
    expect(await failureOf(OnnxQueryModel.load('', { runtime }))).toMatchObject({ option: 'path' });
  });

  it('that is no model is refused', async () => {
    const path = join(directory, 'no-model.onnx');
    writeFileSync(path, 'something else');
    for (const bad of [
      path,
      directory,
      write('unknown.onnx', { ...byRow(), nodes: [{ ...gather, op: 'Gathering' }] }),
    ]) {
      const error = await failureOf(OnnxQueryModel.load(bad, { runtime }));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'path', value: bad, path: bad });
      expect(error.message).toContain(`${bad} cannot be loaded as an ONNX model: `);
      expect(error.cause).toBeInstanceOf(Error);
    }
  });

  it('that cannot be looked for is refused', async () => {
    const path = join(directory, 'x'.repeat(300));
    const error = await failureOf(OnnxQueryModel.load(path, { runtime }));
    expect(error).toMatchObject({ code: 'SCANNERY_IO', path, cause: { code: 'ENAMETOOLONG' } });
  });
});

describe('close', () => {
  it('waits for calls in flight, and refuses those made afterwards', async () => {
    const model = await OnnxQueryModel.load(write('by-row.onnx', byRow()), { runtime });
    const flying = model.embed([2n]);
    const closed = model.close();
    expect((await failureOf(model.embed([1n]))).code).toBe('SCANNERY_CLOSED');
    expect([...(await flying)]).toEqual([2, 20]);
    await closed;
    await model.close();
    expect((await failureOf(model.embed([]))).code).toBe('SCANNERY_CLOSED');
  });
});

it('embeddings of raw features find their neighbours in an index', async () => {
  const vectors = [[0, 1], ...[1, 2, 3].map((row) => [row, 10 * row])];
  await using index = await Index.build({ vectors }, { metric: 'squared_l2', threads: 1 });
  await using model = await OnnxQueryModel.load(write('by-name.onnx', byName), { runtime });
  const found = await index.searchBatch(await model.embed(['eve', 'ada', 'nobody']), { k: 1 });
  expect(found.map(({ ids: [id], scores: [score] }) => [id, score])).toEqual([
    [3, 0],
    [1, 0],
    [0, 1],
  ]);
});

describe('the package itself', () => {
  /** Runs a program beside a copy of the sources, where packages are those of the project. */
  function run(program: string): string {
    cpSync(join(root, 'src/protocol'), join(project, 'src/protocol'), { recursive: true });
    for (const name of ['features', 'onnx-inputs', 'onnx-query-model']) {
      cpSync(join(root, `src/recommender/model/${name}.ts`), join(project, `src/recommender/model/${name}.ts`));
    }
    const file = join(project, 'main.mts');
    writeFileSync(file, `import { OnnxQueryModel } from './src/recommender/model/onnx-query-model.ts';\n${program}`);
    const loader = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
    return execFileSync(process.execPath, ['--import', loader, file], { cwd: project, encoding: 'utf8' });
  }
  const load = (path: string): string => `await OnnxQueryModel.load(${JSON.stringify(path)})`;

  it('is imported by its name when it is installed', () => {
    const printed = run(`const model = ${load(write('by-row.onnx', byRow()))};
      console.log(JSON.stringify([...(await model.embed([3, 1]))]));
      await model.close();`);
    expect(JSON.parse(printed)).toEqual([3, 30, 1, 10]);
  });

  it('is asked for when it is not', () => {
    rmSync(join(project, 'node_modules'), { recursive: true });
    const printed = run(`try { ${load(write('by-row.onnx', byRow()))} } catch ({ name, code, message, cause }) {
      console.log(JSON.stringify({ name, code, message, cause: cause.code }));
    }`);
    const { message, ...error } = JSON.parse(printed);
    expect(error).toEqual({ name: 'ScanneryError', code: 'SCANNERY_MISSING_PACKAGE', cause: 'ERR_MODULE_NOT_FOUND' });
    expect(message).toContain('npm install onnxruntime-node');
  });
});
