import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { MAX_THREADS } from '../protocol/control-layout.ts';
import { decodeError, ScanneryError } from '../protocol/errors.ts';
import {
  type BuildTask,
  CURSOR_ABORT,
  CURSOR_DONE,
  CURSOR_WORDS,
  type PhaseResult,
  type ServeTask,
} from '../protocol/messages.ts';
import type { WorkerReply } from '../shard/worker.ts';

const PROGRESS_INTERVAL_MS = 50;

/** Threads when nobody says how many: one per core. */
export function defaultThreads(): number {
  return Math.min(availableParallelism(), MAX_THREADS);
}

/** A build task without what `runPhase` adds. */
export type PhaseOf<T extends BuildTask> = T extends BuildTask ? Omit<T, 'cursor'> : never;

/** The worker threads of one index. piscina starts and ends them, and carries build tasks. */
export class Threads {
  readonly count: number;
  readonly priority: number;
  #pool: Piscina;
  #restarts = 0;
  /** Whether threads end because we end them. */
  #ending = false;

  /** @param priority 0 to 19, which is the lowest; where the system has none for threads, all are alike */
  constructor(count: number, priority = 0) {
    this.count = count;
    this.priority = priority;
    this.#pool = startPool(count, priority);
  }

  /** Threads that were started in place of dead ones. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Runs one build phase on every thread at once and waits for all; then the first failure, if any, is thrown. */
  async runPhase(
    task: PhaseOf<BuildTask>,
    {
      signal,
      onProgress,
    }: { signal?: AbortSignal | undefined; onProgress?: ((done: number) => void) | undefined } = {},
  ): Promise<PhaseResult> {
    const cursor = new Int32Array(new SharedArrayBuffer(CURSOR_WORDS * 4));
    let failure: unknown;
    const watch = setInterval(() => {
      if (signal?.aborted || failure !== undefined) Atomics.store(cursor, CURSOR_ABORT, 1);
      try {
        onProgress?.(Atomics.load(cursor, CURSOR_DONE));
      } catch (error) {
        failure ??= error;
      }
    }, PROGRESS_INTERVAL_MS);
    let biasMinimum = Number.POSITIVE_INFINITY;
    let biasMaximum = Number.NEGATIVE_INFINITY;
    const runs = Array.from({ length: Math.min(this.count, task.chunks) }, async () => {
      try {
        const result = await this.#run({ ...task, cursor } as BuildTask);
        if (result === null) return;
        biasMinimum = Math.min(biasMinimum, result.biasMinimum);
        biasMaximum = Math.max(biasMaximum, result.biasMaximum);
      } catch (error) {
        failure ??= error;
        Atomics.store(cursor, CURSOR_ABORT, 1);
      }
    });
    await Promise.all(runs);
    clearInterval(watch);
    throwIfAborted(signal);
    if (failure !== undefined) throw failure;
    onProgress?.(Atomics.load(cursor, CURSOR_DONE));
    return { biasMinimum, biasMaximum };
  }

  /**
   * Sends one serving task to each thread; returns the ids of the threads that are alive then. `onExit(threadId)` is called
   * once for each of them that ends on its own; `onFailure` when a task fails, so that the others need not wait for it.
   */
  async serve(
    task: (worker: number) => ServeTask,
    onExit: (threadId: number) => void,
    onFailure: () => void,
  ): Promise<number[]> {
    const runs = Array.from({ length: this.count }, async (_, w) => {
      try {
        await this.#run(task(w));
      } catch (error) {
        onFailure();
        throw error;
      }
    });
    const replies = await Promise.allSettled(runs);
    const alive = this.#pool.threads.map((thread) => {
      const id = thread.threadId;
      thread.once('exit', () => {
        if (this.#ending) return;
        this.#restarts++;
        onExit(id);
      });
      return id;
    });
    for (const reply of replies) if (reply.status === 'rejected') throw reply.reason;
    return alive;
  }

  /** Ends all threads, whatever they are doing, and starts as many new ones. */
  async restart(): Promise<void> {
    await this.destroy();
    this.#pool = startPool(this.count, this.priority);
    this.#ending = false;
  }

  async #run(task: BuildTask | ServeTask): Promise<PhaseResult | null> {
    let reply: WorkerReply;
    try {
      reply = await this.#pool.run(task);
    } catch (cause) {
      throw new ScanneryError('SCANNERY_WORKER_FAILED', `a worker thread failed: ${(cause as Error).message}`, {
        cause,
      });
    }
    if ('error' in reply) throw decodeError(reply.error);
    return reply.ok;
  }

  async destroy(): Promise<void> {
    this.#ending = true;
    await this.#pool.destroy();
  }

  /** For tests: the threads as they are now. */
  get workers(): readonly { readonly threadId: number; terminate(): Promise<number> }[] {
    return this.#pool.threads;
  }
}

function startPool(count: number, priority: number): Piscina {
  const source = import.meta.url.endsWith('.ts');
  const pool = new Piscina({
    filename: new URL(`../shard/${source ? 'worker-from-source.mjs' : 'worker.js'}`, import.meta.url).href,
    minThreads: count,
    maxThreads: count,
    idleTimeout: Number.POSITIVE_INFINITY,
    concurrentTasksPerWorker: 1,
    // A thread that is serving blocks in its own loop; piscina's would only add a second wait.
    atomics: 'disabled',
    recordTiming: false,
    execArgv: inheritedArguments(),
    workerData: { priority },
  });
  // A thread that dies while it holds no task is reported here, too; its 'exit' is what we act on.
  pool.on('error', () => {});
  return pool;
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal);
}

export function aborted(signal: AbortSignal): ScanneryError {
  return new ScanneryError('SCANNERY_ABORTED', 'the call was aborted', { cause: signal.reason });
}

/** Options that say how modules are found, with the values that may follow as a word of their own. */
const MODULE_OPTION = /^(--import|--require|-r|--loader|--experimental-loader|--conditions|-C)(=.*)?$/;
const PLAIN_OPTION = /^--(no-warnings|enable-source-maps|preserve-symlinks|experimental-strip-types)$/;

/**
 * The options of a worker: undefined, for those of this process, which it then takes from it. But not those that say what program the
 * process runs, as a worker is given that otherwise; where there are any it gets only what its own modules may need: options of the
 * whole process and of V8 are refused for a thread, though inherited they do no harm.
 */
export function inheritedArguments(given: readonly string[] = process.execArgv): string[] | undefined {
  if (!given.some((option) => /^(--input-type|-[epi]$|-pe$|--eval|--print|--interactive$)/.test(option)))
    return undefined;
  const kept: string[] = [];
  for (let i = 0; i < given.length; i++) {
    const option = given[i]!;
    const [, , value] = MODULE_OPTION.exec(option) ?? [];
    if (PLAIN_OPTION.test(option) || value !== undefined) kept.push(option);
    else if (MODULE_OPTION.test(option) && i + 1 < given.length) kept.push(option, given[++i]!);
  }
  return kept;
}
