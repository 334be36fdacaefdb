// The entry of worker threads where this runs from source. piscina tries to `require` its file first; of a TypeScript file, the
// loader would then make CommonJS, where each use of another module's constant is a call: a tenth of a search. A module that
// waits cannot be required, so it is imported, and so is what it imports.

import { register } from 'tsx/esm/api';

register();
const { default: run } = await import('./worker.ts');
export default run;
