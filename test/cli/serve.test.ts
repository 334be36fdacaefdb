import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { Index } from '../../src/index.ts';
import { hashToken } from '../../src/server/index.ts';
import { runHere, start } from '../support/command-line.ts';
import { temporaryDirectory } from '../support/directories.ts';
import { saveVersion } from '../support/model-versions.ts';

const folder = temporaryDirectory();
const directory = join(folder, 'index');
const TOKEN = 'a-token-0123456789';
const hash = hashToken(TOKEN);

beforeAll(async () => {
  const vectors = [
    [1, 0],
    [0, 1],
  ];
  await using index = await Index.build({ vectors, ids: ['east', 'north'] }, { threads: 1 });
  await index.save(directory);
  await saveVersion(join(folder, 'films', '1'), 1);
});

const environment: string[] = [];
afterEach(() => {
  for (const name of environment.splice(0)) delete process.env[name];
});
function setEnvironment(name: string, value: string): void {
  process.env[name] = value;
  environment.push(name);
}

/** Serves until `use` is done, then ends it by SIGTERM. */
async function serving(args: string[], use: (url: string, headers: object) => Promise<void>): Promise<void> {
  const { child, ended } = start(['serve', ...args, '--port', '0', '--json', '--threads', '1'], folder);
  try {
    const lines = createInterface({ input: child.stdout! });
    const [line] = (await Promise.race([
      once(lines, 'line'),
      ended.then(({ stderr }) => Promise.reject(new Error(stderr))),
    ])) as [string];
    const { event, url } = JSON.parse(line);
    expect(event).toBe('ready');
    await use(url, { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' });
  } finally {
    child.kill('SIGTERM');
  }
  expect(await ended).toMatchObject({ code: 0, stderr: '' });
}

const post = async (url: string, body: unknown, headers: object): Promise<unknown> => {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers: { ...headers } });
  return answer.status === 200 ? answer.json() : answer.status;
};

it('serves an index and models to those who have a token, keeps writes, and ends well', {
  timeout: 120_000,
}, async () => {
  writeFileSync(join(folder, 'tokens'), `# who may call\nsomebody read,write ${hash} # a comment\n\n`);
  setEnvironment('SCANNERY_KERNELS', 'scalar');
  setEnvironment('SCANNERY_TOKEN_FILE', 'tokens');
  setEnvironment('SCANNERY_MAX_K', '7');
  const args = ['index', '--model', 'films=films', '--max-batch', '3'];
  await serving(args, async (url, headers) => {
    expect(await post(`${url}/v1/search`, { vector: [0, 1], k: 1 }, headers)).toMatchObject({ ids: ['north'] });
    expect(await post(`${url}/v1/search`, { vector: [0, 1], k: 8 }, headers)).toBe(400);
    expect(await post(`${url}/v1/search`, { vector: [0, 1] }, { 'content-type': 'application/json' })).toBe(401);
    expect(await post(`${url}/v1/vectors`, { ids: ['south'], vectors: [[0, -1]] }, headers)).toMatchObject({
      inserted: 1,
    });
    const predicted = await post(`${url}/v1/models/films:predict`, { instances: ['42'] }, headers);
    expect(predicted).toMatchObject({ predictions: [{ output_2: expect.any(Array) }] });
  });
  await using index = await Index.open(directory, { readOnly: true });
  expect(await index.has('south')).toBe(true);
});

it('follows what another process writes, and writes nothing itself', { timeout: 120_000 }, async () => {
  await serving(['index', '--read-only'], async (url, headers) => {
    await using writer = await Index.open(directory, { durability: 'none', threads: 1 });
    await writer.upsert({ ids: ['west'], vectors: [[-1, 0]] });
    const search = () => post(`${url}/v1/search`, { vector: [-1, 0], k: 1 }, headers);
    await expect.poll(search, { timeout: 30_000 }).toMatchObject({ ids: ['west'] });
    expect(await post(`${url}/v1/vectors`, { ids: ['up'], vectors: [[0, 0]] }, headers)).toBe(409);
  });
});

it.each([
  [[], 2, 'give the directory of an index, or a --model'],
  [['nowhere'], 6, 'nowhere holds no saved index'],
  [['index', '--model', 'films'], 2, "--model has 'films'; write NAME=DIR"],
  [['index', '--model', 'a=b', 'a=c'], 2, "--model gives 'a' twice"],
  [['index', '--tls-key', 'key.pem'], 2, '--tls-cert and --tls-key go together'],
  [['index', '--tls-key', 'key.pem', '--tls-cert', 'cert.pem'], 6, 'cert.pem does not exist'],
  [['index', '--host', '0.0.0.0'], 2, '--token-file must be given'],
  [['index', '--max-k', '0'], 2, '--max-k must be'],
  [['index', '--body-limit', '5'], 2, '--body-limit must be'],
  [['index', '--timeout', 'soon'], 2, '--timeout has to be a number'],
  [['index', '--rate-limit', '0'], 2, '--rate-limit must be'],
  [['index', '--token-file', 'bad'], 3, 'bad, line 2'],
  [['index', '--token-file', 'empty'], 3, 'there is no token'],
] as const)('refuses %j', async (args, code, message) => {
  writeFileSync(join(folder, 'bad'), `somebody read ${hash}\nsomebody-else read my-secret-token\n`);
  writeFileSync(join(folder, 'empty'), '# nobody\n');
  const before = process.cwd();
  process.chdir(folder);
  try {
    const ran = await runHere(['serve', ...args, ...(args.length > 0 ? ['--threads', '1'] : [])]);
    expect([ran.code, ran.stderr]).toEqual([code, expect.stringContaining(message)]);
    expect(ran.stderr).not.toContain('my-secret-token');
  } finally {
    process.chdir(before);
  }
});
