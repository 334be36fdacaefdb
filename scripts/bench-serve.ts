// What it costs to serve an index over HTTP, beside a bare Fastify route in the same run, and what overload does.
//   npm run bench:serve
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Index } from '../src/index.ts';
import { closedLoop, type Throughput } from './bench-serve/closed-loop.ts';
import { type Server, startServer } from './bench-serve/processes.ts';
import { createProgress, loadGlove } from './datasets/index.ts';
import { drive } from './load-test/driver.ts';
import { HttpClient } from './load-test/http-client.ts';
import type { TargetOptions, UrlOptions } from './load-test/options.ts';
import { openUrlTarget } from './load-test/url-target.ts';
import { median, megabytes, recall, table } from './measure.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '128' },
    batch: { type: 'string', default: '64' },
    settings: { type: 'string', default: '13/60,30/100' },
    threads: { type: 'string', default: '2' },
    'overload-threads': { type: 'string', default: '1' },
    overload: { type: 'string', default: '600/600' },
  },
});
const rounds = Number(values.rounds);
const milliseconds = 1000 * Number(values.seconds);
const connections = Number(values.connections);
const batch = Number(values.batch);
const K = 10;
/** Fewer leaves for the same recall, for a longer build. */
const TREE = { spherical: true, soarLambda: 1.2 };
/** Both servers collect young garbage seldom, as docs/serving.md recommends: what is under way would be copied each time. */
const NODE_OPTIONS = ['--max-semi-space-size=64', '--min-semi-space-size=64'];
/** Batches under way at once: enough that one is parsed while another is searched. */
const BATCHES_AT_ONCE = 4;
const OVERLOAD = 3;
/** Enough that arrivals wait in the server and not in the client. */
const OVERLOAD_CONNECTIONS = 2000;

const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const bareProgram = fileURLToPath(new URL('bench-serve/bare.mjs', import.meta.url));
if (!existsSync(cli)) throw new Error('dist/ is missing: run `npm run build` first');

type Setting = readonly [leaves: number, candidates: number];
const settingOf = (text: string): Setting => text.split('/').map(Number) as [number, number];

const directory = await mkdtemp(join(tmpdir(), 'scannery-bench-serve-'));
const servers: Server[] = [];
try {
  const recalls = await buildIndex(values.settings.split(',').map(settingOf));
  const served = await startScannery(values.threads);
  for (const [setting, found] of recalls) await compare(served, setting, found);
  await servers.pop()!.stop();
  // A core for the client and the server's main thread, or else what the client takes from the workers would count as overload's.
  await overload(await startScannery(values['overload-threads']), settingOf(values.overload));
} finally {
  for (const server of servers) await server.stop();
  await rm(directory, { recursive: true, force: true });
}

async function start(args: readonly string[]): Promise<Server> {
  const server = await startServer([...NODE_OPTIONS, ...args]);
  servers.push(server);
  return server;
}

function startScannery(threads: string): Promise<Server> {
  return start([cli, 'serve', directory, '--port', '0', '--threads', threads, '--json', '--read-only']);
}

/** Builds and saves the index; returns the recall of each setting. */
async function buildIndex(settings: readonly Setting[]): Promise<[Setting, number][]> {
  const progress = createProgress();
  const { vectors, ids, dimensions, queries } = await loadGlove({ heldOut: 1000, progress: (p) => progress.update(p) });
  progress.finish();
  await using index = await Index.build({ vectors, ids }, { dimensions, metric: 'cosine', tree: TREE });
  await index.save(directory);
  console.log(
    `Node ${process.versions.node} ${NODE_OPTIONS.join(' ')}; ${ids.length} GloVe vectors x ${dimensions}, k ${K}, ` +
      `${values.threads} worker thread(s), ${connections} connections; client, server and workers share the machine\n`,
  );
  const truth = await index.searchBatch(queries, { k: K, exact: true });
  const recalls: [Setting, number][] = [];
  for (const setting of settings) {
    const [numLeavesToSearch, numReorderingCandidates] = setting;
    const found = await index.searchBatch(queries, { k: K, numLeavesToSearch, numReorderingCandidates });
    recalls.push([setting, recall(found, truth)]);
  }
  return recalls;
}

function targetOptions([numLeavesToSearch, numReorderingCandidates]: Setting): TargetOptions {
  return {
    ...{
      data: 'glove',
      rows: 0,
      dimensions: 0,
      index: undefined,
      queries: undefined,
      threads: undefined,
      k: K,
      seed: 42,
    },
    ...{ numLeavesToSearch, numReorderingCandidates },
  };
}

function urlOptions(url: URL, more: Partial<UrlOptions> = {}): UrlOptions {
  return { url, token: undefined, encoding: 'json', batch: 1, connections, ...more };
}

/** One of several ways to be asked, which take turns. */
interface Side {
  readonly name: string;
  /** Queries per call. */
  readonly queries: number;
  readonly server: Server;
  run(milliseconds: number): Promise<Throughput>;
}

interface Turn extends Throughput {
  /** Microseconds of the server's processor per query: of its main thread, and of all. */
  readonly main: number;
  readonly all: number;
  /** Microseconds of the client's processor per query. */
  readonly client: number;
}

/** Single queries and batches, in turns with a bare route that answers as many bytes to the same bodies. */
async function compare(served: Server, setting: Setting, found: number): Promise<void> {
  const options = targetOptions(setting);
  const single = await openUrlTarget(options, urlOptions(served.url));
  const packed = await openUrlTarget(options, urlOptions(served.url, { encoding: 'msgpack', batch }));
  const client = new HttpClient(urlOptions(served.url));
  const answer = await client.send(client.request('POST', '/v1/search', single.bodies[0]!, 'application/json'));
  client.close();
  const bare = await start([bareProgram, answer.body.toString('utf8')]);
  const constant = new HttpClient(urlOptions(bare.url));
  const requests = single.bodies.map((body) => constant.request('POST', '/v1/search', body, 'application/json'));
  const bareCall = async (i: number): Promise<void> => {
    const { status } = await constant.send(requests[i % requests.length]!);
    if (status !== 200) throw new Error(`the bare route answered with ${status}`);
  };
  const sides: Side[] = [
    {
      ...{ name: 'bare Fastify, JSON', queries: 1, server: bare },
      run: (time) => closedLoop(bareCall, connections, time),
    },
    {
      ...{ name: 'scannery, JSON', queries: 1, server: served },
      run: (time) => closedLoop((i) => single.search(i % single.queries), connections, time),
    },
    {
      ...{ name: `scannery, MessagePack, ${batch} a request`, queries: batch, server: served },
      run: (time) => closedLoop((i) => packed.search(i % packed.queries), BATCHES_AT_ONCE, time),
    },
  ];
  const turns = await takeTurns(sides);
  const rates = sides.map(({ queries }, i) => median(turns[i]!.map(({ rate }) => rate)) * queries);
  console.log(
    `${setting.join('/')} leaves and candidates, recall@10 ${found.toFixed(4)}, medians of ${rounds} rounds:\n`,
  );
  const rows = sides.map(({ name }, i) => {
    const middle = (of: (turn: Turn) => number, digits: number): string => median(turns[i]!.map(of)).toFixed(digits);
    return [
      ...[name.padEnd(36), rates[i]!.toFixed(0), (rates[i]! / rates[0]!).toFixed(2)],
      ...[middle(({ latency }) => latency.at(50), 2), middle(({ latency }) => latency.at(99), 2)],
      ...[middle(({ main }) => main, 0), middle(({ all }) => all, 0), middle(({ client }) => client, 0)],
    ];
  });
  const heads = ['', 'queries/s', 'of bare', 'p50 ms', 'p99 ms', 'main thread us', 'all threads us', 'client us'];
  console.log(table([heads, ...rows]));
  console.log(`\nbatches against single queries: ${(rates[2]! / rates[1]!).toFixed(2)} times\n`);
  for (const target of [single, packed]) await target.close();
  constant.close();
  await servers.splice(servers.indexOf(bare), 1)[0]!.stop();
}

async function takeTurns(sides: readonly Side[]): Promise<Turn[][]> {
  const turns = sides.map((): Turn[] => []);
  for (const { run } of sides) await run(milliseconds / 2);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run, server, queries }] of sides.entries()) {
      const before = server.cpu();
      const clientBefore = process.cpuUsage();
      const found = await run(milliseconds);
      const { user, system } = process.cpuUsage(clientBefore);
      const after = server.cpu();
      const each = (name: 'main' | 'all'): number =>
        (1000 * ((after?.[name] ?? Number.NaN) - (before?.[name] ?? Number.NaN))) / (found.calls * queries);
      const client = (user + system) / (found.calls * queries);
      turns[i]!.push({ ...found, main: each('main'), all: each('all'), client });
    }
  }
  return turns;
}

/** Searches that are dear enough for one client to ask three times what the server can answer. */
async function overload(served: Server, setting: Setting): Promise<void> {
  const options = targetOptions(setting);
  const calm = await openUrlTarget(options, urlOptions(served.url));
  const storm = await openUrlTarget(options, urlOptions(served.url, { connections: OVERLOAD_CONNECTIONS }));
  const peaks: number[] = [];
  await closedLoop((i) => calm.search(i % calm.queries), connections, milliseconds);
  const runs: { achieved: number; refused: number; p99: number; offered: number }[] = [];
  let most = 0;
  const before = served.memory() ?? Number.NaN;
  const watch = setInterval(() => {
    most = Math.max(most, served.memory() ?? Number.NaN);
  }, 100);
  for (let round = 0; round < rounds; round++) {
    peaks.push((await closedLoop((i) => calm.search(i % calm.queries), connections, milliseconds)).rate);
    const load = {
      rate: OVERLOAD * median(peaks),
      duration: milliseconds,
      warmUp: milliseconds / 4,
      drain: 10_000,
      seed: round,
    };
    const result = await drive(storm, storm.queries, { ...load, maxOutstanding: 100_000, pace: 'timer' });
    const refused = Object.values(result.errors).reduce((sum, count) => sum + count, 0);
    const unlike = Object.keys(result.errors).filter((code) => !/^(429|503)/.test(code));
    if (unlike.length > 0) throw new Error(`overload was answered with ${unlike.join(', ')}`);
    if (result.dropped + result.unanswered > 0)
      throw new Error(`${result.dropped + result.unanswered} were never answered`);
    runs.push({
      ...{
        achieved: (result.answered * 1000) / result.duration,
        p99: result.latency.at(99),
        offered: result.offeredRate,
      },
      refused: refused / result.arrived,
    });
  }
  clearInterval(watch);
  const peak = median(peaks);
  const achieved = median(runs.map((run) => run.achieved));
  console.log(`Overload, ${setting.join('/')} leaves and candidates, JSON, medians of ${rounds} rounds:\n`);
  console.log(
    table([
      ['', 'offered/s', 'answered/s', 'refused at once', 'p99 ms of answers'],
      ['peak, closed loop'.padEnd(20), '', peak.toFixed(0), '', ''],
      [
        `${OVERLOAD} times as much`.padEnd(20),
        median(runs.map((run) => run.offered)).toFixed(0),
        achieved.toFixed(0),
        `${(100 * median(runs.map((run) => run.refused))).toFixed(1)} %`,
        median(runs.map((run) => run.p99)).toFixed(1),
      ],
    ]),
  );
  console.log(
    `\ngoodput ${(achieved / peak).toFixed(2)} of the peak; resident memory of the server ${megabytes(before)} before, ` +
      `at most ${megabytes(most)} meanwhile`,
  );
  await calm.close();
  await storm.close();
}
