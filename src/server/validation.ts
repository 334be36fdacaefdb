import type { FastifyInstance, preValidationHookHandler } from 'fastify';
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
  if (names.length === 0 && !isObject(data)) return new HttpError(400, 'BAD_REQUEST', `the ${part} must be an object`);
  if (keyword === 'oneOf') {
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
  const option = names.join('.');
  const allowed = (params.allowedValues as unknown[] | undefined)?.join(', ');
  const text =
    keyword === FLOATS
      ? 'must be bin of 4 bytes per number, or as in JSON'
      : `${message}${allowed === undefined ? '' : ` (${allowed})`}`;
  const bounds = keyword === 'minItems' || keyword === 'maxItems';
  const received = bounds ? `${(data as unknown[]).length}` : show(data);
  return new ScanneryError(codeFor(top!), `${option} ${text}, received ${received}`, {
    ...{ option, value: data },
    ...(/^\d+$/.test(row ?? '') && { row: Number(row) }),
  });
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

const codeFor = (name: string): ErrorCode => {
  if (name === 'vector' || name === 'vectors') return 'SCANNERY_INVALID_VECTOR';
  if (name === 'id' || name === 'ids') return 'SCANNERY_INVALID_ID';
  return name === 'attributes' ? 'SCANNERY_INVALID_ATTRIBUTE' : 'SCANNERY_INVALID_OPTION';
};

/** Levels of objects and lists in a filter, which is at most 32 filters deep. */
const MAX_LEVELS = 80;

/** Refuses filters that are so deep that checking them would exhaust the stack. */
export const refuseDeepFilters: preValidationHookHandler = (request, _reply, done) => {
  const filter = (request.body as { filter?: unknown } | null | undefined)?.filter;
  if (filter === undefined) return done();
  let level: unknown[] = [filter];
  for (let depth = 0; depth < MAX_LEVELS; depth++) {
    level = level.flatMap((one) => (typeof one === 'object' && one !== null ? Object.values(one) : []));
    if (level.length === 0) return done();
  }
  done(new ScanneryError('SCANNERY_INVALID_OPTION', 'filter is nested too deep', { option: 'filter' }));
};
