import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { integer, invalid, optional, resolveOptions, text } from '../../protocol/check.ts';
import { ScanneryError } from '../../protocol/errors.ts';
import { batchLength, type FeatureColumn, type Features, isColumn, type QueryModel } from './features.ts';
import {
  chooseInputs,
  guessType,
  type Input,
  interleave,
  type Runtime,
  type Session,
  type Tensor,
} from './onnx-inputs.ts';

const PACKAGE = 'onnxruntime-node';

export interface OnnxQueryModelOptions {
  /**
   * The model's input for each feature whose name differs from it. Several features of one input are its columns, in the order
   * given here. Default: inputs have the names of features.
   */
  inputs?: Readonly<Record<string, string>>;
  /** The output that has the embeddings. Default: the model's only one. */
  output?: string;
  /** Numbers per embedding, to be sure of them. Default: what the model gives. */
  dimensions?: number;
  /** Options for the runtime's session, such as `{ intraOpNumThreads: 1 }`. Default: the runtime's own. */
  session?: Readonly<Record<string, unknown>>;
  /** The module onnxruntime-node, where importing it by that name would find none or another. Default: imported by name. */
  runtime?: unknown;
}

/**
 * A query model that an ONNX file holds, run by the optional package onnxruntime-node on the caller's thread. A column of
 * features fills the model's only input, named columns the inputs of their names. Inputs are of shape [n] or [n x columns], and
 * of type string, float32, float64, int32 or int64, where the runtime tells (onnxruntime-node 1.22 and later do). Otherwise
 * strings become string, bigints int64, an Int32Array int32, and other numbers float32, of shape [n]. The output is f32
 * [n x dimensions].
 */
export class OnnxQueryModel implements QueryModel {
  /** Numbers per embedding, where the options or the model say so beforehand. */
  readonly dimensions: number | undefined;
  readonly #runtime: Runtime;
  readonly #session: Session;
  readonly #inputs: readonly Input[];
  readonly #output: string;
  readonly #running = new Set<Promise<unknown>>();
  #closing: Promise<void> | null = null;

  private constructor(runtime: Runtime, session: Session, options: OnnxQueryModelOptions) {
    this.#runtime = runtime;
    this.#session = session;
    this.#inputs = chooseInputs(session, options.inputs ?? {});
    this.#output = options.output ?? session.outputNames[0]!;
    const only = options.output === undefined && session.outputNames.length !== 1;
    if (only || !session.outputNames.includes(this.#output)) {
      throw invalid('output', options.output, `an output of the model: ${session.outputNames.join(', ')}`);
    }
    const { type, shape = [] } = session.outputMetadata?.find(({ name }) => name === this.#output) ?? {};
    const width = shape.at(-1);
    const declared = typeof width === 'number' ? width : undefined;
    this.dimensions = options.dimensions ?? declared;
    const fits = (shape.length === 0 || shape.length === 2) && (declared ?? this.dimensions) === this.dimensions;
    if (type !== undefined && (type !== 'float32' || !fits)) throw this.#badOutput('n', type, shape);
  }

  /**
   * Loads a model from a file.
   *
   * @throws {ScanneryError} SCANNERY_NOT_FOUND when there is no such file; SCANNERY_INVALID_OPTION with option 'path' and a
   *   cause when it is no ONNX model, or none that the runtime can run, and with other options when they or the model's inputs
   *   and outputs do not fit; SCANNERY_IO when the file cannot be read; SCANNERY_MISSING_PACKAGE without onnxruntime-node
   */
  static async load(path: string, options: OnnxQueryModelOptions = {}): Promise<OnnxQueryModel> {
    const resolved = resolveOptions<OnnxQueryModelOptions>(OPTIONS, options);
    await checkReadable(text(path, 'path'));
    const runtime = resolved.runtime === undefined ? await importRuntime() : runtimeIn(resolved.runtime);
    if (runtime === undefined) throw invalid('runtime', resolved.runtime, `the module ${PACKAGE}`);
    let session: Session;
    try {
      session = await runtime.InferenceSession.create(path, { ...resolved.session });
    } catch (cause) {
      const message = `${path} cannot be loaded as an ONNX model: ${messageOf(cause)}`;
      throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'path', value: path, path, cause });
    }
    try {
      return new OnnxQueryModel(runtime, session, resolved);
    } catch (error) {
      await session.release?.();
      throw error;
    }
  }

  /**
   * Embeddings of a batch, row-major f32 [n x dimensions].
   *
   * @throws {ScanneryError} SCANNERY_INVALID_OPTION when the batch does not fit the model's inputs (with the feature, and the
   *   row), when the model fails on it (with the cause), or when its output is not of the right type and shape; SCANNERY_CLOSED
   */
  async embed(batch: Features): Promise<Float32Array> {
    if (this.#closing !== null) throw new ScanneryError('SCANNERY_CLOSED', 'the query model is closed');
    const n = batchLength(batch);
    if (n === 0) return new Float32Array(0);
    const feeds = this.#feeds(batch, n);
    const run = this.#session.run(feeds, [this.#output]);
    this.#running.add(run);
    let output: Tensor;
    try {
      output = (await run)[this.#output]!;
    } catch (cause) {
      const message = `the model cannot be run on these features: ${messageOf(cause)}`;
      throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'features', value: batch, cause });
    } finally {
      this.#running.delete(run);
    }
    const { type, dims, data } = output;
    const fits = dims.length === 2 && dims[0] === n && dims[1] === (this.dimensions ?? dims[1]);
    if (!fits || !(data instanceof Float32Array)) throw this.#badOutput(n, type, dims);
    return data.slice(); // what the runtime returns may be its own memory
  }

  /** Waits for calls in flight, then frees the model. Calls made afterwards fail with SCANNERY_CLOSED. */
  async close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#running).then(() => this.#session.release?.());
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #feeds(batch: Features, n: number): Record<string, Tensor> {
    const columns = new Map<string, FeatureColumn>();
    if (!isColumn(batch)) {
      for (const [feature, column] of Object.entries(batch)) columns.set(feature, column);
      const known = this.#inputs.flatMap(({ features }) => features);
      for (const feature of columns.keys()) {
        if (known.includes(feature)) continue;
        const message = `the model has no input for the feature ${feature}; it takes ${known.join(', ')}`;
        throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: 'features', value: feature });
      }
    } else if (this.#inputs.length === 1 && this.#inputs[0]!.features.length === 1) {
      columns.set(this.#inputs[0]!.features[0]!, batch);
    } else {
      throw invalid(
        'features',
        batch,
        `columns by name: ${this.#inputs.flatMap((input) => input.features).join(', ')}`,
      );
    }
    return Object.fromEntries(
      this.#inputs.map((input) => {
        const filling = input.features.map((feature): [string, FeatureColumn] => {
          const column = columns.get(feature);
          if (column !== undefined) return [feature, column];
          const message = `features lack ${feature}, for the model's input '${input.name}'`;
          throw new ScanneryError('SCANNERY_INVALID_OPTION', message, { option: `features.${feature}` });
        });
        const type = input.type ?? guessType(filling[0]![1]);
        const dims = input.rank === 1 ? [n] : [n, filling.length];
        return [input.name, new this.#runtime.Tensor(type, interleave(input.name, type, filling, n), dims)];
      }),
    );
  }

  #badOutput(n: number | string, type: string, dims: readonly (number | string)[]): ScanneryError {
    const shape = dims.map((extent) => (extent === '' ? '?' : extent)).join(' x ');
    const message = `the model's output '${this.#output}' must be float32 [${n} x ${this.dimensions ?? 'dimensions'}]`;
    const details = { option: 'output', value: this.#output };
    return new ScanneryError('SCANNERY_INVALID_OPTION', `${message}, and is ${type} [${shape}]`, details);
  }
}

const record = (value: unknown, option: string): Readonly<Record<string, unknown>> => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw invalid(option, value, 'an object');
};
const OPTIONS = {
  inputs: {
    default: undefined,
    check: (value: unknown, option: string) =>
      Object.fromEntries(Object.entries(record(value, option)).map(([k, v]) => [k, text(v, `${option}.${k}`)])),
  },
  output: { default: undefined, check: optional(text) },
  dimensions: { default: undefined, check: optional(integer(1)) },
  session: { default: undefined, check: record },
  runtime: { default: undefined, check: (value: unknown) => value },
} as const;

async function checkReadable(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw new ScanneryError('SCANNERY_IO', message, { path, cause });
    throw new ScanneryError('SCANNERY_NOT_FOUND', `there is no file ${path}`, { path, cause });
  }
}

async function importRuntime(): Promise<Runtime> {
  let module: unknown;
  try {
    // As a mere string, so that the compiler does not look for it.
    module = await import('onnxruntime-node' as string);
  } catch (cause) {
    const message = `an ONNX model needs the package ${PACKAGE} (npm install ${PACKAGE}), which cannot be loaded: ${messageOf(cause)}`;
    throw new ScanneryError('SCANNERY_MISSING_PACKAGE', message, { cause });
  }
  const runtime = runtimeIn(module);
  if (runtime !== undefined) return runtime;
  throw new ScanneryError('SCANNERY_MISSING_PACKAGE', `${PACKAGE} is not what it should be; npm install ${PACKAGE}@1`);
}

/** The runtime that a module is, or has as its default. */
function runtimeIn(module: unknown): Runtime | undefined {
  const { default: inner } = (module ?? {}) as { default?: unknown };
  return [module, inner].find((each): each is Runtime => {
    const { InferenceSession, Tensor } = (each ?? {}) as Partial<Runtime>;
    return typeof InferenceSession?.create === 'function' && typeof Tensor === 'function';
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
