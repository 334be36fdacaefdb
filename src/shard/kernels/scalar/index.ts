import { xxh32 } from '../../../protocol/xxh32.ts';
import { Views } from '../../views.ts';
import type { Kernels } from '../kernels.ts';
import { assignRows, packCentroids, spillRows } from './assign.ts';
import { accumulateBlock, gatherBlock, toResiduals } from './codebook.ts';
import { encodeRows, placeCodes } from './encode.ts';
import { passCode, passCodes, passRange } from './filter.ts';
import { addRows, fillRows, gatherRows, matmul, packPanels, relu, reluGradient, sumOfRows } from './matmul.ts';
import { adagrad, adam } from './optimize.ts';
import { prepareQuery } from './prepare.ts';
import { compressRows, firstInvalidRow, normalizeRows } from './rows.ts';
import { finishScan, scanLeaves } from './scan.ts';
import { compact, dropDuplicates, selectTop, sortDescending } from './select.ts';
import { localsToRows, rescore, scanLeafVectors, scanVectors } from './shard.ts';
import { adjustLogits, countGreater, keepHardNegatives, softmaxGradient, softmaxStats } from './softmax.ts';
import { lowerDistances, meanOfRows } from './tree.ts';

/**
 * The kernels in plain JavaScript, over the same memory. They give the bits of the WebAssembly tiers: every f32 operation is
 * rounded on its own (by Math.fround, or by a store to a Float32Array) and sums follow the lanes of the vector code.
 */
export function createScalarKernels(memory: WebAssembly.Memory): Kernels {
  const views = new Views(memory);
  const bind =
    <A extends number[], R>(kernel: (views: Views, ...args: A) => R) =>
    (...args: A): R =>
      kernel(views.refresh(), ...args);
  return {
    firstInvalidRow: bind(firstInvalidRow),
    normalizeRows: bind(normalizeRows),
    compressRows: bind(compressRows),
    packCentroids: bind(packCentroids),
    assignRows: bind(assignRows),
    spillRows: bind(spillRows),
    lowerDistances: bind(lowerDistances),
    meanOfRows: bind(meanOfRows),
    toResiduals: bind(toResiduals),
    gatherBlock: bind(gatherBlock),
    accumulateBlock: bind(accumulateBlock),
    encodeRows: bind(encodeRows),
    placeCodes: bind(placeCodes),
    prepareQuery: bind(prepareQuery),
    scanLeaves: bind(scanLeaves),
    finishScan: bind(finishScan),
    scanLeafVectors: bind(scanLeafVectors),
    scanVectors: bind(scanVectors),
    rescore: bind(rescore),
    localsToRows: bind(localsToRows),
    passCode: bind(passCode),
    passCodes: bind(passCodes),
    passRange: bind(passRange),
    selectTop: bind(selectTop),
    sortDescending: bind(sortDescending),
    compact: bind(compact),
    dropDuplicates: bind(dropDuplicates),
    matmul: bind(matmul),
    packPanels: bind(packPanels),
    fillRows: bind(fillRows),
    relu: bind(relu),
    reluGradient: bind(reluGradient),
    addRows: bind(addRows),
    sumOfRows: bind(sumOfRows),
    gatherRows: bind(gatherRows),
    adjustLogits: bind(adjustLogits),
    keepHardNegatives: bind(keepHardNegatives),
    countGreater: bind(countGreater),
    softmaxGradient: bind(softmaxGradient),
    softmaxStats: bind(softmaxStats),
    adagrad: bind(adagrad),
    adam: bind(adam),
    // As from WebAssembly, the u32 comes out as a signed number.
    xxh32: bind(
      ({ u8 }, bytes: number, length: number, seed: number) => xxh32(u8, bytes >>> 0, length >>> 0, seed) | 0,
    ),
  };
}
