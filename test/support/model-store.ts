import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { type ModelEvent, ModelStore } from '../../src/server/models/index.ts';
import { temporaryDirectory } from './directories.ts';
import { publish as publishFrom } from './model-versions.ts';

/** Versions that were made once, to publish copies of. */
export const stock = temporaryDirectory();
export const publish = (directory: string, version: number, made = version) =>
  publishFrom(stock, directory, version, made);

/** Opens a store whose versions have one thread, as starting threads takes most of a test's time. */
export const open: typeof ModelStore.open = (models, options) => ModelStore.open(models, { threads: 1, ...options });

/** A model's directory with these versions in it, which nobody looks at unless told to. */
export async function modelOf(...versions: number[]): Promise<{ directory: string; pollMs: false }> {
  const directory = join(temporaryDirectory(), 'films');
  mkdirSync(directory);
  for (const version of versions) await publish(directory, version);
  return { directory, pollMs: false };
}

export function listener(): { events: ModelEvent[]; told: string[]; onEvent: (event: ModelEvent) => void } {
  const events: ModelEvent[] = [];
  const told: string[] = [];
  const onEvent = (event: ModelEvent): void => {
    events.push(event);
    told.push('version' in event ? `${event.type} ${event.version}` : event.type);
  };
  return { events, told, onEvent };
}

export const states = (store: ModelStore, name = 'films'): string[] =>
  store.status(name).model_version_status.map(({ version, state }) => `${version} ${state}`);

/** Waits until something that happens by itself has happened. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await delay(10);
  expect(condition()).toBe(true);
}
