import type { Attributes, Id } from '../index.ts';

/** The shortest decimal of an f32, as a number. */
export function shortest(value: number): number {
  if (Math.fround(value) !== value) return value;
  let text = value.toPrecision(8);
  if (Math.fround(Number(text)) !== value) return Number(value.toPrecision(9));
  for (let digits = 7; digits > 0; digits--) {
    const shorter = value.toPrecision(digits);
    if (Math.fround(Number(shorter)) !== value) break;
    text = shorter;
  }
  return Number(text);
}

/** 12,345 */
export const whole = (value: number): string => value.toLocaleString('en-US');

/** 1.2 MB */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  const unit = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** unit).toFixed(1)} ${['', 'kB', 'MB', 'GB', 'TB'][unit]}`;
}

/** An id as people read it. */
export const shownId = (id: Id): string => (typeof id === 'string' ? id : `${id}`);

/** `color=red,blue price=3` */
export function shownAttributes(attributes: Attributes | undefined): string {
  return Object.entries(attributes ?? {})
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join(',') : value}`)
    .join(' ');
}

/** Rows of cells as text, the first of them a header; columns of numbers to the right. */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = []): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
