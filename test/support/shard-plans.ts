import { dealLeaves } from '../../src/coordinator/dealing.ts';
import type { ShardPlan } from '../../src/protocol/messages.ts';
import { CODEC_FLOAT32, METRIC_DOT } from '../../src/protocol/shard-layout.ts';

/** A plan for rows of 8 numbers and codes of 5 blocks, if there are leaves. `tree` deals whole leaves to shards. */
export function planFor(
  leafCounts: readonly number[],
  shards: number,
  { tree = true, ...rest }: Partial<ShardPlan> & { tree?: boolean } = {},
): ShardPlan {
  const counts = Int32Array.from(leafCounts);
  const size = counts.reduce((sum, count) => sum + count, 0);
  const blocks = rest.blocks ?? 5;
  return {
    ...{ stride: 8, codec: CODEC_FLOAT32, metric: METRIC_DOT, numLeaves: counts.length },
    ...{ blocks, subspaces: Math.ceil(blocks / 2) * 2, codeBytes: Math.ceil(blocks / 2), leafCounts: counts },
    ...{ hasBias: false, biasMinimum: 0, biasRange: 0, spilledCounts: null },
    leafOwners: tree ? dealLeaves(counts, shards) : null,
    rowStarts: Array.from({ length: shards + 1 }, (_, s) => Math.floor((s * size) / shards)),
    ...rest,
  };
}
