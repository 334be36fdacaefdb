export type { ModelEvent, ModelOptions, ModelStoreOptions, VersionPolicy } from './options.ts';
export type { Lease } from './served-version.ts';
export type { Signature } from './signature.ts';
export type { ModelStatus, ModelVersionStatus } from './status.ts';
export { ModelStore } from './store.ts';
