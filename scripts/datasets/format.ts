/** Writes a whole number with commas between its thousands; Intl would take 30 ms to start. */
export function withCommas(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}
