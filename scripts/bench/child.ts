// The process of one engine: builds its index, then measures when asked.
import { findEngine } from './engines/index.ts';
import { measureBuilt } from './measure.ts';
import { peakMemory } from './peak-memory.ts';
import { readQueries } from './rows.ts';
import type { BuildParams, Built, DataFiles, Turn } from './types.ts';

export type Request =
  | { readonly op: 'build'; readonly engine: string; readonly data: DataFiles; readonly params: BuildParams }
  | { readonly op: 'measure'; readonly knob: string; readonly turn: Turn }
  | { readonly op: 'close' };

export type Answer = { readonly value: unknown } | { readonly error: string };

let built: Built | undefined;
let queries: Float32Array = new Float32Array(0);
let dimensions = 0;

async function answer(request: Request): Promise<unknown> {
  switch (request.op) {
    case 'build': {
      const engine = findEngine(request.engine);
      if (typeof engine === 'string') throw new Error(engine);
      dimensions = request.data.dimensions;
      built = await engine.build(request.data, request.params);
      const { buildSeconds, bytes, knobs } = built;
      const peakBytes = built.peakBytes ?? peakMemory();
      queries = readQueries(request.data);
      return { buildSeconds, bytes, knobs, peakBytes };
    }
    case 'measure':
      await built!.setKnob(request.knob);
      return measureBuilt(built!, queries, dimensions, request.turn);
    case 'close':
      await built?.close();
      return undefined;
  }
}

// Whoever started us has ended, or is done with us; threads of a peer may still be at work.
process.on('disconnect', () => process.exit());
process.on('message', async (request: Request) => {
  let reply: Answer;
  try {
    reply = { value: await answer(request) };
  } catch (error) {
    reply = { error: error instanceof Error ? error.message : String(error) };
  }
  process.send!(reply);
  if (request.op === 'close') process.disconnect();
});
