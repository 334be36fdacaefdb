import { createRequire } from 'node:module';
import { join } from 'node:path';
import { installInto } from './installed-package.ts';

// A model in ONNX is a message of protocol buffers. These few functions write the fields that small models have, by the numbers
// that onnx.proto gives them.

const FLOAT = 1;
const INT32 = 6;
const INT64 = 7;
const STRING = 8;
const DOUBLE = 11;
export const ELEMENTS = { float32: FLOAT, int32: INT32, int64: INT64, string: STRING, float64: DOUBLE } as const;
export type Element = keyof typeof ELEMENTS;

/** An input or output; extents that are not known have names. */
export interface Value {
  readonly name: string;
  readonly type: Element;
  readonly shape: readonly (number | string)[];
}

export interface Constant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly domain?: string;
  readonly attributes?: readonly Uint8Array[];
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly constants?: readonly Constant[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

const integerField = (field: number, value: number): Buffer => Buffer.concat([varint(field << 3), varint(value)]);

function field(number: number, content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content as Uint8Array);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function valueInfo({ name, type, shape }: Value): Buffer {
  const dims = shape.map((extent) => field(1, typeof extent === 'number' ? integerField(1, extent) : field(2, extent)));
  const tensor = Buffer.concat([integerField(1, ELEMENTS[type]), field(2, Buffer.concat(dims))]);
  return Buffer.concat([field(1, name), field(2, field(1, tensor))]);
}

function tensor({ name, shape, values }: Constant): Buffer {
  const raw = new Uint8Array(Float32Array.from(values).buffer);
  const dims = shape.map((extent) => integerField(1, extent));
  return Buffer.concat([...dims, integerField(2, FLOAT), field(8, name), field(9, raw)]);
}

const attribute = (name: string, type: number, content: readonly Buffer[]): Buffer =>
  Buffer.concat([field(1, name), ...content, integerField(20, type)]);

export const attributes = {
  integer: (name: string, value: number): Buffer => attribute(name, 2, [integerField(3, value)]),
  integers: (name: string, values: readonly number[]): Buffer =>
    attribute(
      name,
      7,
      values.map((value) => integerField(8, value)),
    ),
  strings: (name: string, values: readonly string[]): Buffer =>
    attribute(
      name,
      8,
      values.map((value) => field(9, value)),
    ),
};

/** The bytes of a model's file. */
export function onnxModel({ nodes, constants = [], inputs, outputs }: Graph): Buffer {
  const graph = Buffer.concat([
    ...nodes.map(({ op, inputs: from, output, domain = '', attributes: given = [] }) =>
      field(
        1,
        Buffer.concat([
          ...from.map((name) => field(1, name)),
          field(2, output),
          field(4, op),
          ...given.map((bytes) => field(5, bytes)),
          field(7, domain),
        ]),
      ),
    ),
    field(2, 'graph'),
    ...constants.map((constant) => field(5, tensor(constant))),
    ...inputs.map((value) => field(11, valueInfo(value))),
    ...outputs.map((value) => field(12, valueInfo(value))),
  ]);
  const opset = (domain: string, version: number) =>
    field(8, Buffer.concat([field(1, domain), integerField(2, version)]));
  return Buffer.concat([integerField(1, 8), field(7, graph), opset('', 17), opset('ai.onnx.ml', 2)]);
}

/** The version that tests use. */
const RUNTIME = 'onnxruntime-node@1.24.3';

/**
 * Installs onnxruntime-node into a project of its own below a directory; returns the project's folder. The package brings its
 * library for processors; its scripts, which would download more, do not run.
 */
export async function installOnnxRuntime(directory: string): Promise<string> {
  try {
    return await installInto(directory, 'onnx', ['--ignore-scripts', RUNTIME]);
  } catch (cause) {
    throw new Error(`${RUNTIME} is needed here and could not be installed; is there a network?`, { cause });
  }
}

/** The module, as a project has it installed. */
export function onnxRuntimeOf(project: string): Record<string, unknown> {
  return createRequire(join(project, 'package.json'))('onnxruntime-node');
}
