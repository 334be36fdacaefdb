import { constants, setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import { type EncodedError, encodeError } from '../protocol/errors.ts';
import type { PhaseResult, WorkerTask } from '../protocol/messages.ts';
import { runPhase } from './build-phases.ts';
import { serve } from './serve.ts';

export type WorkerReply = { readonly ok: PhaseResult | null } | { readonly error: EncodedError };

// Linux has priorities for threads; elsewhere this would slow the whole process down.
if ((workerData as { background?: boolean } | null)?.background === true && process.platform === 'linux') {
  try {
    setPriority(constants.priority.PRIORITY_LOW);
  } catch {
    // Not allowed here; then searches share the cores with it.
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
