/**
 * The kernels' contract. Every tier implements it over the same memory and gives the same bits; pointers are byte offsets
 * into that memory. Arguments are not checked here: callers do that once, at the public door. Shapes and semantics are
 * documented where the kernels are written, in assembly/.
 */
export interface Kernels {
  // rows.ts
  firstInvalidRow(rows: number, count: number, stride: number, limit: number): number;
  normalizeRows(rows: number, count: number, stride: number): number;
  compressRows(rows: number, count: number, stride: number, codec: number, out: number, scales: number): void;
  // assign.ts
  packCentroids(centroids: number, numLeaves: number, stride: number, panels: number, offsets: number): void;
  assignRows(
    rows: number,
    count: number,
    stride: number,
    panels: number,
    offsets: number,
    numLeaves: number,
    leaves: number,
    scratch: number,
  ): void;
  spillRows(
    rows: number,
    count: number,
    stride: number,
    panels: number,
    offsets: number,
    numLeaves: number,
    centroids: number,
    lambda: number,
    leaves: number,
    spilled: number,
    scratch: number,
  ): void;
  // tree.ts
  lowerDistances(rows: number, count: number, stride: number, seed: number, distances: number): void;
  meanOfRows(rows: number, stride: number, list: number, count: number, out: number): void;
  // codebook.ts
  toResiduals(rows: number, count: number, stride: number, leaves: number, centroids: number, mean: number): void;
  gatherBlock(rows: number, count: number, stride: number, offset: number, dims: number, out: number): void;
  accumulateBlock(points: number, count: number, dims: number, codebook: number, sums: number): void;
  // encode.ts
  encodeRows(
    model: number,
    rows: number,
    count: number,
    leaves: number,
    weight: number,
    codes: number,
    biases: number,
    scratch: number,
  ): void;
  placeCodes(codes: number, blocks: number, block: number, lane: number): void;
  // prepare.ts
  prepareQuery(model: number, tables: number, leaves: number, numLeavesToSearch: number, scratch: number): void;
  // scan.ts and shard.ts
  scanLeaves(shard: number, visits: number, count: number, limit: number, tablesAt: number, keysAt: number): void;
  finishScan(state: number, keys: number, limit: number): number;
  scanLeafVectors(shard: number, visits: number, count: number, limit: number, tablesAt: number, keysAt: number): void;
  scanVectors(
    shard: number,
    query: number,
    first: number,
    count: number,
    limit: number,
    keys: number,
    held: number,
    state: number,
  ): number;
  rescore(shard: number, query: number, keys: number, count: number, state: number): void;
  localsToRows(shard: number, keys: number, count: number, out: number): void;
  // filter.ts
  passCode(values: number, count: number, code: number, out: number, first: number): void;
  passCodes(values: number, count: number, codes: number, known: number, out: number, first: number): void;
  passRange(values: number, count: number, least: number, most: number, out: number, first: number): void;
  // select.ts
  selectTop(keys: number, count: number, limit: number): void;
  sortDescending(keys: number, count: number): void;
  dropDuplicates(keys: number, count: number, table: number, entries: number): number;
  compact(keys: number, count: number, limit: number, floor: number): number;
  // matmul.ts
  matmul(
    a: number,
    aRow: number,
    aStep: number,
    b: number,
    bStep: number,
    bPanel: number,
    out: number,
    outRow: number,
    m: number,
    n: number,
    k: number,
  ): void;
  packPanels(rows: number, count: number, stride: number, out: number): void;
  fillRows(row: number, stride: number, count: number, out: number): void;
  relu(x: number, words: number): void;
  reluGradient(gradient: number, output: number, words: number): void;
  addRows(rows: number, stride: number, count: number, out: number): void;
  sumOfRows(rows: number, stride: number, list: number, count: number, out: number): void;
  gatherRows(table: number, stride: number, list: number, count: number, out: number, outRow: number): void;
  // softmax.ts
  adjustLogits(logits: number, n: number, scale: number, corrections: number, ids: number, positive: number): void;
  keepHardNegatives(logits: number, n: number, positive: number, limit: number, keys: number): void;
  countGreater(logits: number, n: number, positive: number): number;
  softmaxGradient(logits: number, n: number, positive: number, weight: number, stats: number): void;
  softmaxStats(logits: number, n: number, positive: number, stats: number): void;
  // optimize.ts
  adagrad(
    weights: number,
    accumulators: number,
    gradients: number,
    words: number,
    learningRate: number,
    epsilon: number,
  ): void;
  adam(
    weights: number,
    moments: number,
    velocities: number,
    gradients: number,
    words: number,
    alpha: number,
    beta1: number,
    beta2: number,
    epsilon: number,
  ): void;
  // checksum.ts
  xxh32(bytes: number, length: number, seed: number): number;
}

export const KERNEL_TIERS = ['scalar', 'simd', 'relaxed'] as const;
export type KernelTier = (typeof KERNEL_TIERS)[number];
