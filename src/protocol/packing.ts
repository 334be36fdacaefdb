import { Packr, Unpackr } from 'msgpackr';

// MessagePack as files use it: data only, no extensions, and equal values always give equal bytes.

const packr = new Packr({ useRecords: false, variableMapSize: true });

export const pack = (value: unknown): Buffer => packr.pack(value);

/** @throws what msgpackr throws of bytes that are not MessagePack */
export const unpack = (bytes: Uint8Array): unknown => packr.unpack(bytes);

// As others write it: 64-bit integers become numbers where these hold them.
const foreign = new Unpackr({ useRecords: false, int64AsType: 'auto' as 'number' });

/** Reads MessagePack of another program. @throws what msgpackr throws */
export const unpackForeign = (bytes: Uint8Array): unknown => foreign.unpack(bytes);
