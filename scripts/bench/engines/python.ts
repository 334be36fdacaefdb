import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { defaultCacheDirectory } from '../../datasets/index.ts';
import { makeEnvironment, programOf } from '../../python-environment.ts';
import type { Built, Engine, Measurement } from '../types.ts';

export const HOW_TO_SET_UP = 'npm run bench -- --setup-python';
export const PYTHON_PACKAGES = ['scann', 'faiss-cpu', 'numpy'];

const WORKER = fileURLToPath(new URL('../peers/python/worker.py', import.meta.url));
export const environmentDirectory = (): string => join(defaultCacheDirectory(), 'bench-venv');

/** Makes the virtual environment. */
export const setUpPython = (say: (line: string) => void): boolean =>
  makeEnvironment(environmentDirectory(), PYTHON_PACKAGES, say) !== undefined;

type Answer = Record<string, unknown> & { error?: string };

/** One Python process; a request and its answer are a line each. */
class Bridge {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void }[] = [];
  #ended: Error | undefined;

  constructor(python: string, threads: number) {
    const limits = { OMP_NUM_THREADS: String(threads), TF_CPP_MIN_LOG_LEVEL: '3' };
    const child = spawn(python, [WORKER], {
      stdio: ['pipe', 'pipe', process.env.BENCH_VERBOSE ? 'inherit' : 'ignore'],
      env: { ...process.env, ...limits },
    }) as ChildProcessByStdio<Writable, Readable, null>;
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#waiting.shift()?.resolve(JSON.parse(line) as Answer);
    });
    const end = (error: Error): void => {
      this.#ended ??= error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    child.on('error', end);
    child.stdin.on('error', end);
    child.on('close', (code, signal) => end(new Error(`Python ended with ${signal ?? `code ${code}`}.`)));
  }

  async ask(request: Record<string, unknown>): Promise<Answer> {
    if (this.#ended) throw this.#ended;
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end();
    await closed;
  }
}

/** Google's ScaNN, or faiss's IVF with 4-bit fast scan, each reordering by the float32 vectors; Python keeps the time. */
export function pythonEngine(name: 'scann' | 'faiss-cpu'): Engine | undefined {
  const python = programOf(environmentDirectory(), 'python');
  if (python === undefined) return undefined;
  const program = `import importlib.metadata as m; print(m.version("${name}"))`;
  const { status, stdout } = spawnSync(python, ['-c', program], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  return {
    name,
    version: stdout.trim(),
    async build(data, { threads, k, directory }): Promise<Built> {
      const bridge = new Bridge(python, threads);
      const { metric, dimensions, rows, queries, vectorsFile, queriesFile } = data;
      const shape = { metric, dimensions, rows, queries, vectorsFile, queriesFile };
      const request = { engine: name, ...shape, threads, k, directory };
      const built = await bridge.ask({ op: 'build', ...request });
      return {
        ...(built as unknown as Pick<Built, 'buildSeconds' | 'bytes' | 'knobs' | 'peakBytes'>),
        async setKnob(knob) {
          await bridge.ask({ op: 'knob', knob });
        },
        search: () => Promise.reject(new Error('Python is only measured.')),
        async measure(turn): Promise<Measurement> {
          const rowsFile = turn.wantRows ? join(directory, 'found.i32') : undefined;
          const measured = (await bridge.ask({ op: 'measure', ...turn, rowsFile })) as unknown as Measurement;
          if (rowsFile === undefined) return measured;
          const flat = new Int32Array(new Uint8Array(readFileSync(rowsFile)).buffer);
          rmSync(rowsFile);
          const rows = Array.from({ length: queries }, (_, i) => flat.slice(i * turn.k, (i + 1) * turn.k));
          return { ...measured, rows };
        },
        close: () => bridge.close(),
      };
    },
  };
}
