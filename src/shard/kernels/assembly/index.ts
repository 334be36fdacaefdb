export { xxh32 } from "./checksum";
export { accumulateBlock, gatherBlock, toResiduals } from "./codebook";
export { encodeRows, placeCodes } from "./encode";
export { prepareQuery } from "./prepare";
export { compressRows, firstInvalidRow, normalizeRows } from "./rows";
export { scanLeaves } from "./scan";
export { compact, selectTop, sortDescending } from "./select";
export { localsToRows, rescore, scanLeafVectors, scanVectors } from "./shard";
export { assignRows, halfNorms, lowerDistances, meanOfRows } from "./tree";
