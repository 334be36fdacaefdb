import { Packr } from 'msgpackr';

// MessagePack as files use it: data only, no extensions, and equal values always give equal bytes.

const packr = new Packr({ useRecords: false, variableMapSize: true });

export const pack = (value: unknown): Buffer => packr.pack(value);

/** @throws what msgpackr throws of bytes that are not MessagePack */
export const unpack = (bytes: Uint8Array): unknown => packr.unpack(bytes);
