import { invalid } from '../../protocol/check.ts';
import { ScanneryError, show } from '../../protocol/errors.ts';
import type { FeatureColumn } from './features.ts';

// What is used of onnxruntime-node. It is an optional peer, so its types need not be there.
export type TensorData = string[] | Float32Array | Float64Array | Int32Array | BigInt64Array;
export interface Tensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}
/** What newer runtimes tell about inputs and outputs. An empty shape may be unknown; unknown extents are names. */
interface Metadata {
  readonly name: string;
  readonly type?: string;
  readonly shape?: readonly (number | string)[];
}
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata?: readonly Metadata[];
  readonly outputMetadata?: readonly Metadata[];
  run(feeds: Record<string, Tensor>, fetches: readonly string[]): Promise<Record<string, Tensor>>;
  release?(): Promise<void>;
}
export interface Runtime {
  readonly InferenceSession: { create(path: string, options?: object): Promise<Session> };
  readonly Tensor: new (type: string, data: TensorData, dims: readonly number[]) => Tensor;
}

/** An element type of tensors, and what a feature's value is in it; undefined where it has no such value. */
interface Kind {
  readonly wanted: string;
  readonly make: (length: number) => TensorData;
  readonly from: (value: unknown) => string | number | bigint | undefined;
}
const number = (value: unknown) => (typeof value === 'number' ? value : undefined);
const KINDS: Readonly<Record<string, Kind>> = {
  string: {
    wanted: 'a string',
    make: (length) => new Array<string>(length).fill(''),
    from: (value) => (typeof value === 'string' ? value : undefined),
  },
  float32: { wanted: 'a number', make: (length) => new Float32Array(length), from: number },
  float64: { wanted: 'a number', make: (length) => new Float64Array(length), from: number },
  int32: {
    wanted: 'an integer of 32 bits',
    make: (length) => new Int32Array(length),
    from: (value) => (typeof value === 'number' && (value | 0) === value ? value : undefined),
  },
  int64: {
    wanted: 'a safe integer or a bigint of 64 bits',
    make: (length) => new BigInt64Array(length),
    from: (value) => {
      if (typeof value === 'bigint') return BigInt.asIntN(64, value) === value ? value : undefined;
      return Number.isSafeInteger(value) ? BigInt(value as number) : undefined;
    },
  },
};

/** An input of the model, and the features that fill it. */
export interface Input {
  readonly name: string;
  readonly features: readonly string[];
  readonly type: string | undefined;
  readonly rank: number;
}

/** What fills each input of a model: the features that were given for it, or the one of its name. */
export function chooseInputs(session: Session, given: Readonly<Record<string, string>>): Input[] {
  for (const [feature, name] of Object.entries(given)) {
    if (session.inputNames.includes(name)) continue;
    throw invalid(`inputs.${feature}`, name, `an input of the model: ${session.inputNames.join(', ')}`);
  }
  return session.inputNames.map((name) => {
    const named = Object.keys(given).filter((feature) => given[feature] === name);
    const features = named.length > 0 ? named : [name];
    const { type, shape = [] } = session.inputMetadata?.find((metadata) => metadata.name === name) ?? {};
    const rank = shape.length > 0 ? shape.length : features.length === 1 ? 1 : 2;
    const columns = rank === 1 ? 1 : (shape[1] ?? features.length);
    const fits = rank <= 2 && (typeof columns === 'string' || columns === features.length);
    if (fits && (type === undefined || Object.hasOwn(KINDS, type))) return { name, features, type, rank };
    const declared = `${type} [${shape.join(' x ')}]`;
    const message = `the model's input '${name}' is ${declared}, which ${features.join(', ')} cannot fill`;
    throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'inputs', value: name });
  });
}

/** The type for a column, where the runtime does not tell that of the input. */
export function guessType(column: FeatureColumn): string {
  if (column instanceof Int32Array) return 'int32';
  if (typeof column[0] === 'string') return 'string';
  return typeof column[0] === 'bigint' ? 'int64' : 'float32';
}

/** The values of an input, row-major [n x columns]. */
export function interleave(
  input: string,
  type: string,
  columns: readonly [string, FeatureColumn][],
  n: number,
): TensorData {
  const kind = KINDS[type]!;
  const data = kind.make(n * columns.length);
  const out = data as unknown as (string | number | bigint)[];
  for (const [j, [feature, column]] of columns.entries()) {
    for (let row = 0; row < n; row++) {
      const value = kind.from(column[row]);
      if (value === undefined) {
        const message = `features.${feature} must have ${kind.wanted} in row ${row} for the ${type} input '${input}', received ${show(column[row])}`;
        const details = { option: `features.${feature}`, value: column[row], row };
        throw new ScanneryError('SCANNERY_INVALID_OPTION', message, details);
      }
      out[row * columns.length + j] = value;
    }
  }
  return data;
}
