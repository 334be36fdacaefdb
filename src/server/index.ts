export { HTTP_ERROR_CODES, type HttpErrorCode } from './errors.ts';
export type {
  Lease,
  ModelEvent,
  ModelOptions,
  ModelStatus,
  ModelStoreOptions,
  ModelVersionStatus,
  Signature,
  VersionPolicy,
} from './models/index.ts';
export { ModelStore } from './models/index.ts';
export type { HttpsOptions, LimitOptions, RateOptions, Scope, ServerOptions, TokenOptions } from './options.ts';
export { createServer, type ScanneryServer } from './server.ts';
export { stopOnSignals } from './stop-on-signals.ts';
export { hashToken } from './tokens.ts';
