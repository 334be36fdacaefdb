import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, Request } from './child.ts';
import type { DataFiles, Engine, Measurement, Runner } from './types.ts';

const CLOSE_LIMIT = 10;
const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));

/** Asks and awaits the answer; a process that ends instead, or takes longer than `limit` seconds, is an error. */
function ask(child: ChildProcess, request: Request, limit: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      done();
      child.kill('SIGKILL');
      reject(new Error(`no answer within ${limit} s`));
    }, limit * 1000);
    const done = (): void => {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
    };
    const onMessage = (answer: Answer): void => {
      done();
      if ('error' in answer) reject(new Error(answer.error));
      else resolve(answer.value);
    };
    const onExit = (code: number | null, signal: string | null): void => {
      done();
      reject(new Error(`its process ended with ${signal ?? `code ${code}`}`));
    };
    if (child.exitCode !== null || child.signalCode !== null) return onExit(child.exitCode, child.signalCode);
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.send(request, (error) => {
      if (error === null) return;
      done();
      reject(error);
    });
  });
}

/**
 * Builds an engine's index in a process of its own, which then stays to be measured. So the peak memory is the engine's, and
 * no engine's heap or threads weigh on another's.
 *
 * @param options `knobs`: settings in place of the engine's own; `limit`: seconds to build in, and for a turn
 */
export async function startRemote(
  engine: Engine,
  data: DataFiles,
  options: {
    readonly threads: number;
    readonly k: number;
    readonly knobs?: readonly string[] | undefined;
    readonly limit: number;
  },
): Promise<Runner> {
  const { threads, k, limit } = options;
  const directory = await mkdtemp(join(tmpdir(), `bench-${engine.name}-`));
  const child = fork(CHILD, {
    serialization: 'advanced',
    env: { ...process.env, ...engine.environment?.(threads) },
    stdio: ['ignore', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore', 'inherit', 'ipc'],
  });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      await ask(child, { op: 'close' }, CLOSE_LIMIT).catch(() => child.kill());
      await exited;
    }
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const params = { threads, k, directory };
    const built = (await ask(child, { op: 'build', engine: engine.name, data, params }, limit)) as Pick<
      Runner,
      'buildSeconds' | 'bytes' | 'knobs' | 'peakBytes'
    >;
    // Not before: the peer would make too few threads to build with.
    if (engine.confine && process.platform === 'linux')
      spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', `0-${threads - 1}`, String(child.pid)]);
    return {
      ...{ ...built, name: engine.name, version: engine.version, knobs: options.knobs ?? built.knobs },
      measure: async (knob, turn) => (await ask(child, { op: 'measure', knob, turn }, limit)) as Measurement,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
