export { openFbin, openI8bin, openIbin, openU8bin } from './big-ann.ts';
export type { ElementName } from './elements.ts';
export { type Hdf5File, type Hdf5Options, openHdf5 } from './hdf5.ts';
export { NpyFile, openNpy } from './npy.ts';
export { openVectors, readIntegers } from './open-vectors.ts';
export { openBvecs, openFvecs, openIvecs } from './texmex.ts';
export type { ChunkOptions, FileChunk, IntegerMatrix, RowRange, VectorFile } from './vector-file.ts';
