// Carries out the Dockerfile's steps in folders of this machine, then runs what the image would run, as its user, with its
// variables and no others: that it refuses to start without tokens, answers its HEALTHCHECK and queries with a token, writes
// nothing outside /data, and ends with 0 at SIGTERM. Needs npm's registry, but no container engine: `npm run check:container`
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { lastOf } from './check-container/dockerfile.ts';
import { hasProgram, ImageProcess, type Running } from './check-container/image-process.ts';
import { type Replayed, replay } from './check-container/replay.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const TOKEN = 'token-of-this-check-alone';
const STARTS_WITHIN_MS = 60_000;

const folder = mkdtempSync(join(tmpdir(), 'scannery-container-'));
try {
  chmodSync(folder, 0o755); // the image's user passes through
  const image = replay(project, folder, (line) => console.log(line));
  comparesToLock(image);
  testsAlerts();
  await serves(image);
  console.log(`the image would work${hasProgram('tini') ? '' : ' (without tini, which is not installed here)'}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Every installed package has the version that package-lock.json names. */
function comparesToLock({ root }: Replayed): void {
  const versions = (file: string): Record<string, { version?: string }> =>
    JSON.parse(readFileSync(file, 'utf8')).packages;
  const locked = versions(join(project, 'package-lock.json'));
  const installed = Object.entries(versions(join(root, 'app/node_modules/.package-lock.json')));
  const others = installed.filter(([path]) => path !== 'node_modules/scannery');
  for (const [path, { version }] of others) {
    check(
      locked[path]?.version === version,
      `${path} is ${version}, but package-lock.json has ${locked[path]?.version}`,
    );
  }
  console.log(`installed ${installed.length} packages, in the versions of package-lock.json`);
}

/** The unit tests of the alerts, where Prometheus' own tool is installed. */
function testsAlerts(): void {
  if (hasProgram('promtool')) {
    execFileSync('promtool', ['test', 'rules', join(project, 'container/alerts.test.yml')], { stdio: 'inherit' });
  } else {
    console.log('promtool is not installed here: the alerts are not tested');
  }
}

async function serves(image: Replayed): Promise<void> {
  const data = join(image.root, 'data');
  mkdirSync(data);
  const [user, group] = lastOf(image.stage, 'USER').getArguments()[0]!.getValue().split(':').map(Number);
  if (process.getuid?.() === 0) chownSync(data, user!, group!);

  const input = join(folder, 'vectors.jsonl');
  const vectors = Array.from({ length: 50 }, (_, i) =>
    JSON.stringify({ id: `v${i}`, vector: [Math.cos(i), Math.sin(i)] }),
  );
  writeFileSync(input, `${vectors.join('\n')}\n`);
  const tokenFile = join(folder, 'tokens');
  const hash = createHash('sha256').update(TOKEN).digest('hex');
  writeFileSync(tokenFile, `# name scopes sha256-hex\ncheck read ${hash}\n`);

  const port = await freePort();
  const fixed = { SCANNERY_PORT: String(port), SCANNERY_THREADS: '1' };
  const built = await new ImageProcess(image, fixed).entry(['build', input, '--output', '/data/index']).ended;
  check(built.code === 0, `build ended with ${built.code}:\n${built.output}`);

  const before = contents(image.root);
  const open = await new ImageProcess(image, fixed).entry(['serve', '/data/index']).ended;
  check(open.code !== 0 && /token/i.test(open.output), `without tokens: ended with ${open.code}:\n${open.output}`);
  console.log(`without tokens: ${open.output.trim()}`);

  // Tests listen for this machine alone.
  const container = new ImageProcess(image, { ...fixed, SCANNERY_TOKEN_FILE: tokenFile, SCANNERY_HOST: '127.0.0.1' });
  const server = container.entry(['serve', '/data/index']);
  try {
    await becomesHealthy(container, server);
    await answers(port);
    server.signal('SIGTERM');
    const { code, output } = await server.ended;
    check(code === 0, `SIGTERM ended it with ${code}:\n${output}`);
    check(!(await container.isHealthy()), 'HEALTHCHECK succeeds though nothing runs');
  } finally {
    if (!server.hasEnded) server.signal('SIGKILL');
  }
  const written = contents(image.root).filter((line) => !before.includes(line));
  check(written.length === 0, `the server wrote outside /data: ${written.join(', ')}`);
}

async function becomesHealthy(container: ImageProcess, server: Running): Promise<void> {
  const end = performance.now() + STARTS_WITHIN_MS;
  while (!(await container.isHealthy())) {
    check(!server.hasEnded, `the server ended:\n${server.output}`);
    check(performance.now() < end, `not healthy within ${STARTS_WITHIN_MS} ms:\n${server.output}`);
    await sleep(200);
  }
}

async function answers(port: number): Promise<void> {
  const search = (headers: Record<string, string>): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/v1/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ vector: [1, 0], k: 1 }),
    });
  const stranger = await search({});
  check(stranger.status === 401, `without a token a search is answered with ${stranger.status}`);
  const answer = await search({ authorization: `Bearer ${TOKEN}` });
  const body = await answer.text();
  check(
    answer.status === 200 && JSON.parse(body).ids[0] === 'v0',
    `a search is answered with ${answer.status}: ${body}`,
  );
}

/** Every file below a root but those of /data, with its hash. */
function contents(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.startsWith(join(root, 'data/')))
    .map((path) => `${path} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function check(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}
