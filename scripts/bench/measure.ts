import type { Built, Measurement, Turn } from './types.ts';

/** One turn of an index: all queries at once, then some one at a time. */
export async function measureBuilt(
  built: Built,
  queries: Float32Array,
  dimensions: number,
  turn: Turn,
): Promise<Measurement> {
  if (built.measure !== undefined) return built.measure(turn);
  const { k, latencyQueries, wantRows } = turn;
  const count = queries.length / dimensions;
  const started = performance.now();
  const rows = await built.search(queries, k);
  const elapsed = (performance.now() - started) / 1000;
  const latencies: number[] = [];
  for (let i = 0; i < Math.min(latencyQueries, count); i++) {
    const query = queries.subarray(i * dimensions, (i + 1) * dimensions);
    const before = performance.now();
    await built.search(query, k);
    latencies.push((performance.now() - before) * 1000);
  }
  return { qps: count / elapsed, latencies, rows: wantRows ? rows : undefined };
}
