import { CURSOR_ABORT, CURSOR_DONE, CURSOR_NEXT, type Phase } from '../protocol/messages.ts';

/** Takes chunks of a phase, one after the other, until none are left or the phase is given up. */
export function eachChunk({ cursor, chunks }: Phase, work: (chunk: number) => void): void {
  while (Atomics.load(cursor, CURSOR_ABORT) === 0) {
    const chunk = Atomics.add(cursor, CURSOR_NEXT, 1);
    if (chunk >= chunks) return;
    work(chunk);
    Atomics.add(cursor, CURSOR_DONE, 1);
  }
}
