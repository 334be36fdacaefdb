import { createReadStream } from 'node:fs';
import { badLine, inputWork } from '../errors.ts';

const CHUNK_BYTES = 1 << 18;
/** A vector of 4,096 numbers takes about a hundredth of it. */
const MOST_BYTES = 1 << 24;
const LINE_FEED = 10;

/** A line of a file, and its number, counted from 1. */
export type Line = readonly [text: string, line: number];

/**
 * Lines of a UTF-8 file, in pieces; they end in LF or CRLF. What follows the last line end is a line if it is not empty.
 *
 * @throws {ScanneryError} SCANNERY_INVALID_DATA with the line for other bytes than UTF-8; SCANNERY_NOT_FOUND, SCANNERY_IO
 */
export async function* linesOf(path: string): AsyncGenerator<Line[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  const decode = (bytes: Buffer): Line => {
    number++;
    try {
      const text = decoder.decode(bytes);
      return [text.endsWith('\r') ? text.slice(0, -1) : text, number];
    } catch (error) {
      throw badLine(path, number, 'the line is not UTF-8', error);
    }
  };
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES })[
    Symbol.asyncIterator
  ]() as AsyncIterator<Buffer>;
  try {
    let rest: Buffer[] = [];
    let restBytes = 0;
    for (;;) {
      const { value, done } = await inputWork(path, () => source.next());
      if (done) break;
      const lines: Line[] = [];
      let start = 0;
      for (let end = value.indexOf(LINE_FEED); end >= 0; end = value.indexOf(LINE_FEED, start)) {
        lines.push(decode(Buffer.concat([...rest, value.subarray(start, end)])));
        rest = [];
        restBytes = 0;
        start = end + 1;
      }
      rest.push(value.subarray(start));
      restBytes += value.length - start;
      if (restBytes > MOST_BYTES) throw badLine(path, number + 1, `the line is longer than ${MOST_BYTES} bytes`);
      if (lines.length > 0) yield lines;
    }
    if (restBytes > 0) yield [decode(Buffer.concat(rest))];
  } finally {
    await source.return?.();
  }
}

/** The values of a file of JSON lines; empty lines are passed over. */
export async function* jsonLines(path: string): AsyncGenerator<(readonly [value: unknown, line: number])[]> {
  for await (const lines of linesOf(path)) {
    const values: [unknown, number][] = [];
    for (const [text, line] of lines) {
      if (text.trim() === '') continue;
      try {
        values.push([JSON.parse(text), line]);
      } catch (error) {
        throw badLine(path, line, `this is no JSON: ${(error as Error).message}`, error);
      }
    }
    yield values;
  }
}
