// Versions of a model are swapped in over HTTP while clients ask; every answer has to come, and from one version.
//   npm run hot-swap -- --swaps 20
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { createServer, type ModelEvent, ModelStore } from '../src/server/index.ts';
import { askWhile, type LoadReport, publish, saveVersion } from '../test/support/model-versions.ts';
import { quantile, table } from './measure.ts';

const K = 5;
const JSON_BODY = { 'content-type': 'application/json' };
const POLL_MS = 50;
/** Milliseconds after which a version that is not served yet counts as lost. */
const PATIENCE = 60_000;
/** Indexes that are made; versions are copies of them in turn, and neighbours differ. */
const MADE = 4;

const number = (describe: string, preset: number) => ({ type: 'number', describe, default: preset }) as const;

const given = await yargs(hideBin(process.argv))
  .usage('npm run hot-swap -- [options]')
  .options({
    swaps: number('versions that take the place of the one before', 20),
    size: number('candidates of each version', 20_000),
    dimensions: number('numbers per candidate', 32),
    clients: number('requests in flight', 16),
    seconds: number('seconds of asking before the first swap, to compare with', 3),
  })
  .strict()
  .check(({ swaps, size, dimensions, clients, seconds }) => {
    const wrong = Object.entries({ swaps, size, dimensions, clients, seconds }).find(
      ([, value]) => !Number.isInteger(value) || value < 1,
    );
    return wrong === undefined || `--${wrong[0]} must be an integer of at least 1`;
  })
  .parse();
await main(given);

async function main({ swaps, size, dimensions, clients, seconds }: typeof given): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'scannery-hot-swap-'));
  try {
    const stock = join(folder, 'stock');
    const model = join(folder, 'films');
    for (const directory of [stock, model]) mkdirSync(directory);
    const numLeaves = Math.ceil(Math.sqrt(size));
    for (let made = 0; made < MADE; made++) {
      await saveVersion(join(stock, String(made)), made, { size, dimensions, numLeaves });
    }
    await publish(stock, model, 1);
    const loads: number[] = [];
    const onEvent = (event: ModelEvent): void => {
      if (event.type === 'available') loads.push(event.milliseconds);
      else if (event.type !== 'unloaded' || event.error !== undefined) console.error(event);
    };
    await using store = await ModelStore.open({ films: { directory: model, pollMs: POLL_MS } }, { onEvent });
    await using server = await createServer(null, { port: 0, models: store });
    const pool = new Pool(await server.listen(), { connections: clients });
    let firstSwap = 0;
    const report = await askWhile(
      async () => {
        await delay(seconds * 1000);
        firstSwap = performance.now();
        for (let version = 2; version <= swaps + 1; version++) {
          await publish(stock, model, version, version % MADE);
          await served(store, version);
        }
      },
      (user) => ask(pool, user),
      { clients, k: K },
    );
    await pool.close();
    console.log(`${size} candidates of ${dimensions} dimensions, ${clients} clients, ${swaps} swaps`);
    tell(report, firstSwap, loads.slice(1));
    if (report.failures.length + report.mixed.length > 0 || report.versions.length < Math.min(MADE, swaps + 1)) {
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ask(pool: Pool, user: string): Promise<string[]> {
  const body = JSON.stringify({ instances: [user] });
  const answer = await pool.request({ method: 'POST', path: '/v1/models/films:predict', body, headers: JSON_BODY });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${answer.statusCode} ${text}`);
  const { predictions } = JSON.parse(text) as { predictions: { output_2: string[] }[] };
  return predictions[0]!.output_2;
}

/** Waits until a version is the one in service, and the one before it is gone. */
async function served(store: ModelStore, version: number): Promise<void> {
  for (const until = performance.now() + PATIENCE; performance.now() < until; await delay(10)) {
    const serving = store.status('films').model_version_status.filter(({ state }) => /AVAIL|UNLOAD/.test(state));
    if (serving.length === 1 && serving[0]!.version === String(version)) return;
  }
  throw new Error(`version ${version} is not served: ${JSON.stringify(store.status('films'))}`);
}

function tell({ answers, failures, mixed, versions, times }: LoadReport, firstSwap: number, loads: number[]): void {
  console.log(
    `${answers} answers, ${failures.length} failures, ${mixed.length} mixed answers, from ${versions.join(', ')}`,
  );
  for (const failure of failures.slice(0, 5)) console.error(failure);
  console.log(`A version is loaded in ${quantile(loads, 0.5).toFixed(0)} ms (median).\n`);
  const row = (name: string, taken: number[]): string[] => [
    ...[name, String(taken.length)],
    ...[0.5, 0.99, 1].map((q) => `${quantile(taken, q).toFixed(2)} ms`),
  ];
  const part = (chosen: (at: number) => boolean): number[] => times.flatMap(({ at, took }) => (chosen(at) ? took : []));
  const before = row(
    'before',
    part((at) => at < firstSwap),
  );
  console.log(
    table([
      ['', 'answers', 'p50', 'p99', 'max'],
      before,
      row(
        'during',
        part((at) => at >= firstSwap),
      ),
    ]),
  );
}
