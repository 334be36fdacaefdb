import { type BruteForce, type QueryModel, type ScaNN, Tower } from '../../recommender/index.ts';

/** What TensorFlow names the first input of a model that has no names of its own. */
export const FIRST_INPUT = 'input_1';
/** The names that TensorFlow gives a layer's scores and identifiers, in the order in which the layer returns them. */
export const OUTPUTS = ['output_1', 'output_2'] as const;
export const SIGNATURE_NAME = 'serving_default';

/** One named input of a version. */
export interface ModelInput {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'embedding';
}

/** What a version takes and gives. */
export interface Signature {
  /** Null where the query model is not a `Tower`, and cannot say. */
  readonly inputs: readonly ModelInput[] | null;
  /** Whether the query model takes columns by name, rather than one column. */
  readonly named: boolean;
  /** Numbers per embedding; 0 where an index of nothing does not say. */
  readonly dimensions: number;
  readonly k: number;
  readonly identifiers: 'DT_STRING' | 'DT_INT64';
}

/** @param identifier one of those that the layer answers with; undefined if it has none */
export function signatureOf(layer: BruteForce | ScaNN, identifier: unknown): Signature {
  const { queryModel, k, dimensions } = layer;
  const identifiers = typeof identifier === 'string' ? 'DT_STRING' : 'DT_INT64';
  return { ...inputsOf(queryModel), dimensions, k, identifiers };
}

function inputsOf(queryModel: QueryModel | undefined): Pick<Signature, 'inputs' | 'named'> {
  if (queryModel === undefined) return { inputs: [{ name: FIRST_INPUT, type: 'embedding' }], named: false };
  if (!(queryModel instanceof Tower)) return { inputs: null, named: false };
  const inputs = queryModel.features.map(
    ({ name, lookup }): ModelInput => ({ name: name ?? FIRST_INPUT, type: lookup === null ? 'integer' : 'string' }),
  );
  return { inputs, named: queryModel.features[0]!.name !== null };
}

const DTYPES = { string: 'DT_STRING', integer: 'DT_INT64', embedding: 'DT_FLOAT' } as const;

function tensor(name: string, dtype: string, extents: readonly number[]) {
  const dim = extents.map((size) => ({ size: String(size), name: '' }));
  return { dtype, tensor_shape: { dim, unknown_rank: false }, name };
}

/** The signature as TensorFlow Serving's metadata has it: -1 is an extent that depends on the request. */
export function metadataOf(name: string, version: number, { inputs, dimensions, k, identifiers }: Signature) {
  const [scores, ids] = OUTPUTS;
  const taken = (inputs ?? []).map((input) => {
    const extents = input.type === 'embedding' ? [-1, dimensions] : [-1];
    return [input.name, tensor(`${SIGNATURE_NAME}_${input.name}:0`, DTYPES[input.type], extents)] as const;
  });
  const signature = {
    inputs: Object.fromEntries(taken),
    outputs: {
      [scores]: tensor('StatefulPartitionedCall:0', 'DT_FLOAT', [-1, k]),
      [ids]: tensor('StatefulPartitionedCall:1', identifiers, [-1, k]),
    },
    method_name: 'tensorflow/serving/predict',
  };
  return {
    model_spec: { name, signature_name: '', version: String(version) },
    metadata: { signature_def: { signature_def: { [SIGNATURE_NAME]: signature } } },
  };
}
