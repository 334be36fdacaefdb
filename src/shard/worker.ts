import { setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import { type EncodedError, encodeError } from '../protocol/errors.ts';
import type { PhaseResult, WorkerTask } from '../protocol/messages.ts';
import { runPhase } from './build-phases.ts';
import { serve } from './serve.ts';

export type WorkerReply = { readonly ok: PhaseResult | null } | { readonly error: EncodedError };

const { priority = 0 } = (workerData ?? {}) as { priority?: number };
// Linux has priorities for threads; elsewhere this would slow the whole process down.
if (priority > 0 && process.platform === 'linux') {
  try {
    setPriority(priority);
  } catch {
    // Not allowed here; then the thread shares the cores with others as they do.
  }
}

/** The entry of every worker thread. Errors are replies, since structured clone would drop their code. */
export default async function run(task: WorkerTask): Promise<WorkerReply> {
  try {
    if (task.kind !== 'serve') return { ok: runPhase(task) };
    await serve(task);
    return { ok: null };
  } catch (error) {
    return { error: encodeError(error) };
  }
}
