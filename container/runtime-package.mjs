// Writes the package.json of the image into the folder that holds the packed tarball: scannery itself and the optional peers
// that a server needs, each in the version that package-lock.json names. The lock file goes along, so that what these
// depend on has its version from there, too. `node container/runtime-package.mjs FOLDER`
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Peers that a server does without: formats of files, and models that are not scannery's own. */
const NOT_SERVED = ['h5wasm', 'onnxruntime-node'];

const [folder] = process.argv.slice(2);
const root = fileURLToPath(new URL('..', import.meta.url));
const read = (name) => JSON.parse(readFileSync(join(root, name), 'utf8'));
const { peerDependencies } = read('package.json');
const { packages } = read('package-lock.json');

const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
const peers = Object.keys(peerDependencies).filter((name) => !NOT_SERVED.includes(name));
const dependencies = { scannery: `file:${tarball}` };
for (const name of peers) dependencies[name] = packages[`node_modules/${name}`].version;

writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ private: true, dependencies }, null, 2)}\n`);
copyFileSync(join(root, 'package-lock.json'), join(folder, 'package-lock.json'));
