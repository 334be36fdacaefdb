import { isUtf8 } from 'node:buffer';
import { HttpError } from './errors.ts';

/** Lists and maps within each other; filters need about 70. */
const MAX_DEPTH = 100;

const malformed = (what: string): HttpError =>
  new HttpError(400, 'BAD_REQUEST', `the body is not MessagePack that this server reads: ${what}`);

/**
 * Walks over a message without making anything of it, and refuses what the decoder should not see: lists that claim more entries
 * than there are bytes (it would reserve memory for them), nesting without end, extensions, text that is not UTF-8, and what is
 * behind the message or missing of it.
 *
 * @throws {HttpError} 400
 */
export function checkMessage(bytes: Buffer): void {
  let at = 0;
  /** Values still to come, of each list or map that is open. */
  const open = [1];
  const take = (count: number): number => {
    const from = at;
    if (from + count > bytes.length) throw malformed('it ends too early');
    at += count;
    return from;
  };
  const length = (size: 1 | 2 | 4): number => bytes.readUIntBE(take(size), size);
  const text = (size: number): void => {
    const from = take(size);
    if (!isUtf8(bytes.subarray(from, at))) throw malformed('a text is not UTF-8');
  };
  const enter = (values: number): void => {
    if (values > bytes.length - at) throw malformed('it ends too early');
    if (open.length >= MAX_DEPTH) throw malformed('it is nested too deep');
    open.push(values);
  };
  while (open.length > 0) {
    if (open[open.length - 1] === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1]!--;
    const type = bytes[take(1)]!;
    if (type <= 0x7f || type >= 0xe0) continue;
    if (type <= 0x8f) enter((type & 0x0f) * 2);
    else if (type <= 0x9f) enter(type & 0x0f);
    else if (type <= 0xbf) text(type & 0x1f);
    else step(type);
  }
  if (at < bytes.length) throw malformed('something follows it');

  function step(type: number): void {
    switch (type) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        take(length(WIDTHS[type - 0xc4]!));
        return;
      case 0xca:
      case 0xcb:
        take(type === 0xca ? 4 : 8);
        return;
      case 0xd9:
      case 0xda:
      case 0xdb:
        text(length(WIDTHS[type - 0xd9]!));
        return;
      case 0xdc:
      case 0xdd:
        enter(length(type === 0xdc ? 2 : 4));
        return;
      case 0xde:
      case 0xdf:
        enter(length(type === 0xde ? 2 : 4) * 2);
        return;
    }
    // Integers of 8 to 64 bits, unsigned and signed.
    if (type >= 0xcc && type <= 0xd3) take(1 << (type & 3));
    else throw malformed('it has an extension');
  }
}

const WIDTHS = [1, 2, 4] as const;
