// Schemathesis against every route of the OpenAPI document: no server error, no answer outside its schema, no crash.
//   npm run fuzz:http -- --examples 200
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Attributes, Index } from '../src/index.ts';
import { createServer, ModelStore } from '../src/server/index.ts';
import { saveVersion } from '../test/support/model-versions.ts';
import { createRandom, defaultCacheDirectory } from './datasets/index.ts';
import { makeEnvironment, programOf } from './python-environment.ts';

const { values } = parseArgs({
  options: {
    examples: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
  },
});
const DIMENSIONS = 4;
const SIZE = 2000;
/** What the answers are held against. Whether requests that break a schema are refused, and others not, is told apart by mode. */
const CHECKS =
  'not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,' +
  'response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth';
const PACKAGE = 'schemathesis==4.32.5';
const TOKEN = 'a-token-of-the-fuzzer';

const environment = join(defaultCacheDirectory(), 'schemathesis-venv');
if (programOf(environment, 'schemathesis') === undefined) makeEnvironment(environment, [PACKAGE], console.error);
const schemathesis = programOf(environment, 'schemathesis');
if (schemathesis === undefined) throw new Error('schemathesis is missing; it comes from PyPI');

const random = createRandom(Number(values.seed));
const vectors = Float32Array.from({ length: SIZE * DIMENSIONS }, () => random.normal());
const ids = Array.from({ length: SIZE }, (_, i) => (i % 2 === 0 ? i : `item ${i}`));
const colours = ['red', 'green', 'blue'] as const;
const attributes = ids.map((_, i): Attributes => ({ colour: colours[i % 3]!, price: i % 100, new: i % 7 === 0 }));
await using index = await Index.build(
  { vectors, ids, attributes },
  { dimensions: DIMENSIONS, tree: { numLeaves: 20 } },
);
const probe = vectors.subarray(0, DIMENSIONS);

const folder = mkdtempSync(join(tmpdir(), 'scannery-fuzz-http-'));
await saveVersion(join(folder, '1'), 1);
// Made-up names would be answered with 404 and nothing else.
const config = join(folder, 'schemathesis.toml');
writeFileSync(config, '[parameters]\n"path.name" = "films"\n"path.version" = "1"\n');
const models = await ModelStore.open({ films: { directory: folder, pollMs: false } });

const server = await createServer(index, {
  ...{ port: 0, models },
  tokens: [{ name: 'fuzzer', token: TOKEN, scopes: ['read', 'write'] }],
});
await server.listen();
try {
  const child = spawn(
    schemathesis,
    [
      ...[
        '--config-file',
        config,
        'run',
        `${server.url}/openapi.json`,
        '--checks',
        CHECKS,
        '--continue-on-failure',
        '--no-shrink',
      ],
      ...['--max-examples', values.examples, '--seed', values.seed, '--workers', values.workers],
      // Tuning for hundreds of results takes a while on a slow machine.
      ...['--header', `Authorization: Bearer ${TOKEN}`, '--request-timeout', '60'],
    ],
    // It leaves notes on failures where it runs.
    { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const [code] = (await once(child, 'exit')) as [number | null];
  // Whatever was written meanwhile, the index still answers.
  const { ids: found } = await index.search(probe, { k: 3 });
  const isWell = found.length === Math.min(3, index.size);
  const restarts = index.stats().workerRestarts;
  console.log(
    `\n${index.size} vectors after the run, ${restarts} threads died; searches ${isWell ? 'are answered' : 'FAIL'}`,
  );
  process.exitCode = code === 0 && isWell && restarts === 0 ? 0 : 1;
} finally {
  await server.close();
  await models.close();
  rmSync(folder, { recursive: true, force: true });
}
