const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const integer = (value: number): string => whole.format(value);

/** A number with about three digits that count. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 100) return whole.format(value);
  return String(Number(value.toPrecision(3)));
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number): string {
  let [size, unit] = [value, 0];
  while (size >= 1024 && unit < UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${short(size)} ${UNITS[unit]}`;
}

export const microseconds = (value: number): string =>
  value >= 1000 ? `${short(value / 1000)} ms` : `${short(value)} µs`;
export const percent = (value: number): string => `${Number((100 * value).toFixed(2))} %`;
