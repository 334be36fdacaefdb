import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PEERS = fileURLToPath(new URL('../peers/', import.meta.url));
const require = createRequire(join(PEERS, 'package.json'));

export const HOW_TO_INSTALL = 'npm ci --prefix scripts/bench/peers';

/** The version of an installed peer; undefined when it is not there. */
export function peerVersion(name: string): string | undefined {
  // Read rather than resolved: not every package exports its package.json, and npm would find one further up.
  const manifest = join(PEERS, 'node_modules', name, 'package.json');
  if (!existsSync(manifest)) return undefined;
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/** Loads a peer; its types are the caller's word. */
export function loadPeer<T>(name: string): T {
  return require(name) as T;
}
