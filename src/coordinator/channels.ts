import { channel } from 'node:diagnostics_channel';
import type { CallEvent, DiagnosticsEvents } from './events.ts';

type Name = keyof DiagnosticsEvents;
type Content<N extends Name> = Omit<DiagnosticsEvents[N], keyof CallEvent>;

const CHANNELS = {
  'scannery:search': channel('scannery:search'),
  'scannery:write': channel('scannery:write'),
  'scannery:rebalance': channel('scannery:rebalance'),
  'scannery:checkpoint': channel('scannery:checkpoint'),
  'scannery:worker-restart': channel('scannery:worker-restart'),
} satisfies Record<Name, unknown>;

/** Whether anybody listens. */
export function isHeard(name: Name): boolean {
  return CHANNELS[name].hasSubscribers;
}

/** Does some work, and tells those who listen when it has ended. */
export async function announced<N extends Name, T>(
  name: N,
  content: () => Content<N>,
  work: () => Promise<T>,
): Promise<T> {
  const to = CHANNELS[name];
  if (!to.hasSubscribers) return work();
  const started = performance.now();
  const publish = (outcome: { error?: unknown }): void =>
    to.publish({ ...content(), milliseconds: performance.now() - started, ...outcome });
  try {
    const result = await work();
    publish({});
    return result;
  } catch (error) {
    publish({ error });
    throw error;
  }
}
