import type { FastifyInstance } from 'fastify';
import { type ErrorCode, ScanneryError, show } from '../protocol/errors.ts';
import { HttpError } from './errors.ts';
import { FLOATS } from './schemas.ts';

/** What is read of an error of Ajv. */
interface Violation {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
  readonly data?: unknown;
}

/** Options of Ajv: nothing is changed in what is checked, and errors have the value. */
export const AJV = {
  customOptions: {
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    allErrors: false,
    allowUnionTypes: true,
    verbose: true,
  },
  onCreate: (ajv: unknown): void => {
    (ajv as { addKeyword(keyword: object): void }).addKeyword({
      keyword: FLOATS,
      validate: (kind: 'row' | 'rows', data: unknown) =>
        data instanceof Uint8Array
          ? data.byteLength % 4 === 0
          : Array.isArray(data) &&
            data.every((each) => (kind === 'rows' ? Array.isArray(each) : typeof each === 'number')),
    });
  },
} as const;

/** Has a server tell what is wrong with a request as the index itself would. */
export function explainViolations(app: FastifyInstance): void {
  app.setSchemaErrorFormatter((errors, part) => {
    const [first] = errors as unknown as Violation[];
    return violation(first!, part);
  });
}

function violation({ instancePath, keyword, params, message, data }: Violation, part: string): Error {
  const names = instancePath.split('/').slice(1);
  const [top, row] = names;
  if (keyword === 'oneOf' && names.length === 0) {
    return new ScanneryError('SCANNERY_INVALID_OPTION', 'either vector or id is needed, and not both', {
      option: 'vector',
    });
  }
  if (keyword === 'additionalProperties') {
    const option = [...names, String(params.additionalProperty)].join('.');
    return new ScanneryError('SCANNERY_INVALID_OPTION', `unknown property ${option.slice(0, 100)}`, {
      option: option.slice(0, 100),
    });
  }
  if (keyword === 'required') {
    const option = [...names, String(params.missingProperty)].join('.');
    return new ScanneryError('SCANNERY_INVALID_OPTION', `${option} is needed`, { option });
  }
  if (names.length === 0) return new HttpError(400, 'BAD_REQUEST', `the ${part} ${message}`);
  const option = names.join('.');
  const text = keyword === FLOATS ? 'must be bin of 4 bytes per number, or as in JSON' : message;
  const received = keyword === 'minItems' || keyword === 'maxItems' ? `${(data as unknown[]).length}` : show(data);
  return new ScanneryError(codeFor(top!), `${option} ${text}, received ${received}`, {
    ...{ option, value: data },
    ...(/^\d+$/.test(row ?? '') && { row: Number(row) }),
  });
}

const codeFor = (name: string): ErrorCode => {
  if (name === 'vector' || name === 'vectors') return 'SCANNERY_INVALID_VECTOR';
  if (name === 'id' || name === 'ids') return 'SCANNERY_INVALID_ID';
  return name === 'attributes' ? 'SCANNERY_INVALID_ATTRIBUTE' : 'SCANNERY_INVALID_OPTION';
};
