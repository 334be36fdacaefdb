import type { Engine } from '../types.ts';
import { faissNode } from './faiss-node.ts';
import { hnswlib } from './hnswlib.ts';
import { lancedb } from './lancedb.ts';
import { HOW_TO_INSTALL } from './peer-package.ts';
import { HOW_TO_SET_UP, pythonEngine } from './python.ts';
import { scannery, scanneryTuned } from './scannery.ts';
import { usearch } from './usearch.ts';

interface Entry {
  /** Undefined where the peer is not installed. */
  readonly find: () => Engine | undefined;
  readonly howTo: string;
}

const ENGINES: Record<string, Entry> = {
  scannery: { find: scannery, howTo: '' },
  'scannery-tuned': { find: scanneryTuned, howTo: '--tuned with its build options' },
  hnswlib: { find: hnswlib, howTo: HOW_TO_INSTALL },
  usearch: { find: usearch, howTo: HOW_TO_INSTALL },
  'lancedb-ivf-pq': { find: () => lancedb('ivf-pq'), howTo: HOW_TO_INSTALL },
  'lancedb-hnsw-sq': { find: () => lancedb('hnsw-sq'), howTo: HOW_TO_INSTALL },
  'faiss-node': { find: faissNode, howTo: HOW_TO_INSTALL },
  scann: { find: () => pythonEngine('scann'), howTo: HOW_TO_SET_UP },
  'faiss-cpu': { find: () => pythonEngine('faiss-cpu'), howTo: HOW_TO_SET_UP },
};

export const ENGINE_NAMES: readonly string[] = Object.keys(ENGINES);

/** An engine by name, or one line that says why it is left out. */
export function findEngine(name: string): Engine | string {
  const entry = ENGINES[name];
  if (entry === undefined) throw new RangeError(`There is no engine '${name}'; there are ${ENGINE_NAMES.join(', ')}.`);
  return entry.find() ?? `${name} is left out, as it is not installed; ${entry.howTo} installs it.`;
}
