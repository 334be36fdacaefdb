import { isUtf8 } from 'node:buffer';
import { ScanneryError, show } from '../../protocol/errors.ts';
import type { FeatureColumn, Queries } from '../../recommender/index.ts';
import { FIRST_INPUT, type ModelInput, SIGNATURE_NAME, type Signature } from './signature.ts';

/** A request as a layer takes it, and the format that its answer is to have. */
export interface PredictRequest {
  readonly queries: Queries;
  /** How many queries these are. */
  readonly count: number;
  readonly format: 'row' | 'column';
}

/** A value of the request: its place in words and, if it is one of several, its row. */
interface Place {
  readonly words: string;
  readonly row?: number;
}

type Values = readonly (string | number | readonly number[])[];

/**
 * Reads the body of a predict request, in row format (`instances`) or column format (`inputs`).
 *
 * @throws {ScanneryError} SCANNERY_INVALID_OPTION, with the row
 */
export function readPredictRequest(body: unknown, signature: Signature): PredictRequest {
  if (!isObject(body)) throw bad({ words: 'the body' }, body, 'a JSON object');
  const { signature_name: name, instances, inputs } = body;
  if (name !== undefined && typeof name !== 'string') throw bad({ words: 'signature_name' }, name, 'a string');
  if (name !== undefined && name !== '' && name !== SIGNATURE_NAME) {
    throw refusal({ words: 'signature_name' }, name, `Serving signature name: "${name}" not found in signature def`);
  }
  const hasInstances = Object.hasOwn(body, 'instances');
  const hasInputs = Object.hasOwn(body, 'inputs');
  if (hasInstances && hasInputs) {
    throw refusal({ words: 'inputs' }, inputs, "a request has either 'instances' or 'inputs', not both");
  }
  if (hasInstances) return { ...queriesOf(readRows(instances, signature), signature), format: 'row' };
  if (hasInputs) return { ...queriesOf(readColumns(inputs, signature), signature), format: 'column' };
  throw refusal({ words: 'instances' }, undefined, "Missing 'inputs' or 'instances' key");
}

/** Row format: one value per instance, or one object of named values. */
function readRows(instances: unknown, signature: Signature): Map<string, Values> {
  if (!Array.isArray(instances)) throw bad({ words: 'instances' }, instances, 'a list');
  if (instances.length === 0) throw refusal({ words: 'instances' }, instances, "No values in 'instances' array");
  const named = isNamed(instances[0]);
  const inputs = signature.inputs ?? guessInputs(named ? (instances[0] as object) : null);
  if (!named && inputs.length > 1) {
    throw bad({ words: 'instances[0]', row: 0 }, instances[0], `an object of ${namesOf(inputs)}`);
  }
  const columns = new Map(inputs.map((input) => [input.name, new Array<Values[number]>(instances.length)]));
  const read = inputs.map((input) => ({ input, column: columns.get(input.name)!, of: readerOf(input, signature) }));
  for (const [row, instance] of instances.entries()) {
    const words = `instances[${row}]`;
    if (isNamed(instance) !== named) {
      throw bad({ words, row }, instance, named ? 'an object, as those before it' : 'a value, as those before it');
    }
    if (named) checkNames(instance, inputs, { words, row });
    for (const { input, column, of } of read) {
      if (named) column[row] = of(instance[input.name], { words: `${words}.${input.name}`, row });
      else column[row] = of(instance, { words, row });
    }
  }
  return columns;
}

/** Column format: the list of the only input, or an object with a list for each input. */
function readColumns(given: unknown, signature: Signature): Map<string, Values> {
  const named = isNamed(given);
  const inputs = signature.inputs ?? guessInputs(named ? given : null);
  if (!named && inputs.length > 1) throw bad({ words: 'inputs' }, given, `an object of ${namesOf(inputs)}`);
  if (named) checkNames(given, inputs, { words: 'inputs' });
  const columns = new Map<string, Values>();
  let first: { name: string; length: number } | undefined;
  for (const input of inputs) {
    const words = named ? `inputs.${input.name}` : 'inputs';
    const column = named ? given[input.name] : given;
    if (!Array.isArray(column)) throw bad({ words }, column, 'a list, one value per query');
    first ??= { name: input.name, length: column.length };
    if (column.length !== first.length) {
      const message = `${words} has ${column.length} values where inputs.${first.name} has ${first.length}`;
      throw refusal({ words, row: Math.min(column.length, first.length) }, column.length, message);
    }
    const of = readerOf(input, signature);
    columns.set(
      input.name,
      column.map((value: unknown, row) => of(value, { words: `${words}[${row}]`, row })),
    );
  }
  return columns;
}

/** What a layer is asked: embeddings in one array, one column, or columns by name. */
function queriesOf(
  columns: ReadonlyMap<string, Values>,
  { inputs, named, dimensions }: Signature,
): Pick<PredictRequest, 'queries' | 'count'> {
  const [[only, values] = [FIRST_INPUT, []]] = columns;
  const count = values.length;
  if (inputs?.[0]?.type === 'embedding') {
    const rows = values as readonly (readonly number[])[];
    // An index of nothing may not know its dimensions; it counts the queries, and that is all.
    if (dimensions === 0) return { queries: rows, count };
    const queries = new Float32Array(count * dimensions);
    for (const [row, embedding] of rows.entries()) queries.set(embedding, row * dimensions);
    return { queries, count };
  }
  const byName = inputs === null ? columns.size > 1 || only !== FIRST_INPUT : named;
  const features = columns as ReadonlyMap<string, FeatureColumn>;
  return { queries: byName ? Object.fromEntries(features) : (values as FeatureColumn), count };
}

/** The inputs of a query model that cannot say which it has: those of the first instance. */
function guessInputs(named: object | null): { name: string; type: 'any' }[] {
  const names = named === null ? [FIRST_INPUT] : Object.keys(named);
  if (names.length === 0) throw refusal({ words: 'inputs' }, named, 'there must be at least one named input');
  return names.map((name) => ({ name, type: 'any' }));
}

type Input = ModelInput | { readonly name: string; readonly type: 'any' };
type Reader = (value: unknown, place: Place) => Values[number];

function readerOf({ type }: Input, { dimensions }: Signature): Reader {
  switch (type) {
    case 'string':
      return (value, place) => {
        const text = isBinary(value) ? decode(value.b64, place) : value;
        if (typeof text === 'string') return text;
        throw bad(place, value, 'a string');
      };
    case 'integer':
      return (value, place) => {
        if (Number.isSafeInteger(value)) return value as number;
        throw bad(place, value, 'an integer');
      };
    case 'embedding':
      return (value, place) => {
        if (!Array.isArray(value) || (dimensions !== 0 && value.length !== dimensions)) {
          throw bad(place, value, dimensions === 0 ? 'a list of numbers' : `a list of ${dimensions} numbers`);
        }
        const wrong = value.findIndex((each) => typeof each !== 'number');
        if (wrong < 0) return value;
        throw bad({ ...place, words: `${place.words}[${wrong}]` }, value[wrong], 'a number');
      };
    case 'any':
      return (value, place) => {
        const text = isBinary(value) ? decode(value.b64, place) : value;
        if (typeof text === 'string' || typeof text === 'number') return text;
        throw bad(place, value, 'a string or a number');
      };
  }
}

function checkNames(given: object, inputs: readonly Input[], place: Place): void {
  const unknown = Object.keys(given).find((name) => !inputs.some((input) => input.name === name));
  if (unknown !== undefined) {
    throw refusal(
      place,
      unknown,
      `${place.words} has the unknown input ${show(unknown)}; inputs are ${namesOf(inputs)}`,
    );
  }
  const missing = inputs.find(({ name }) => !Object.hasOwn(given, name));
  if (missing !== undefined) throw refusal(place, undefined, `${place.words} lacks the input ${show(missing.name)}`);
}

const namesOf = (inputs: readonly Input[]): string => inputs.map(({ name }) => name).join(', ');

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether a value is `{ "b64": "..." }`, which stands for a string. */
const isBinary = (value: unknown): value is { b64: string } =>
  isObject(value) && typeof value.b64 === 'string' && Object.keys(value).length === 1;

const isNamed = (value: unknown): value is Record<string, unknown> => isObject(value) && !isBinary(value);

/** The text that Base64 stands for. Vocabularies hold text, so other bytes are refused. */
function decode(base64: string, place: Place): string {
  const digits = base64.replace(/={0,2}$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(digits) || digits.length % 4 === 1) throw bad(place, base64, 'Base64 under b64');
  const bytes = Buffer.from(digits, 'base64');
  if (!isUtf8(bytes)) throw bad(place, base64, 'Base64 of UTF-8 text under b64');
  return bytes.toString('utf8');
}

function bad(place: Place, value: unknown, allowed: string): ScanneryError {
  const received = Array.isArray(value) ? `a list of ${value.length}` : show(value);
  return refusal(place, value, `${place.words} must be ${allowed}, received ${received}`);
}

function refusal({ words, row }: Place, value: unknown, message: string): ScanneryError {
  return new ScanneryError('SCANNERY_INVALID_OPTION', message, {
    option: words,
    value,
    ...(row === undefined ? {} : { row }),
  });
}
