import { type ErrorCode, ScanneryError } from '../../protocol/errors.ts';

/** States of TensorFlow Serving's servables, in the order in which a version goes through them. */
export const STATES = ['START', 'LOADING', 'AVAILABLE', 'UNLOADING', 'END'] as const;

/** What is known of one version. */
export interface VersionState {
  readonly version: number;
  state: (typeof STATES)[number];
  /** Why it was refused. */
  error: unknown;
}

/** The state of a version as TensorFlow Serving tells it. */
export interface ModelVersionStatus {
  readonly version: string;
  readonly state: VersionState['state'];
  readonly status: { readonly error_code: string; readonly error_message: string };
}

/** The state of a model's versions as TensorFlow Serving tells it, the highest version first. */
export interface ModelStatus {
  readonly model_version_status: readonly ModelVersionStatus[];
}

/** TensorFlow's names for what can be wrong with a version; of anything else it says UNKNOWN. */
const ERROR_NAMES: Partial<Record<ErrorCode, string>> = {
  SCANNERY_NOT_FOUND: 'NOT_FOUND',
  SCANNERY_BAD_MAGIC: 'DATA_LOSS',
  SCANNERY_TRUNCATED: 'DATA_LOSS',
  SCANNERY_CHECKSUM: 'DATA_LOSS',
  SCANNERY_NEWER_VERSION: 'UNIMPLEMENTED',
  SCANNERY_INVALID_OPTION: 'INVALID_ARGUMENT',
  SCANNERY_INVALID_VECTOR: 'INVALID_ARGUMENT',
  SCANNERY_MISSING_PACKAGE: 'FAILED_PRECONDITION',
  SCANNERY_OUT_OF_MEMORY: 'RESOURCE_EXHAUSTED',
  SCANNERY_IO: 'UNAVAILABLE',
};

export function statusOf(versions: readonly VersionState[]): ModelStatus {
  return {
    model_version_status: versions.map(({ version, state, error }) => ({
      version: String(version),
      state,
      status: { error_code: errorName(error), error_message: messageOf(error) },
    })),
  };
}

function errorName(error: unknown): string {
  if (error === undefined) return 'OK';
  return (error instanceof ScanneryError ? ERROR_NAMES[error.code] : undefined) ?? 'UNKNOWN';
}

function messageOf(error: unknown): string {
  if (error === undefined) return '';
  return error instanceof Error ? error.message : String(error);
}
