/** What a text says of a vector: its numbers, or what is wrong with it. */
export type VectorText = { readonly numbers: readonly number[] } | { readonly problem: string };

const SEPARATORS = /[\s,;]+/;

/** Reads a vector: a JSON array, or numbers with blanks, commas or semicolons between them. */
export function parseVector(text: string): VectorText {
  const inner = text.trim().replace(/^\[([^[\]]*)\]$/, '$1');
  const words = inner.split(SEPARATORS).filter((word) => word !== '');
  const numbers: number[] = [];
  for (const [i, word] of words.entries()) {
    const number = Number(word);
    if (!/^[+-]?(\d|\.\d)/.test(word) || !Number.isFinite(number)) {
      return { problem: `number ${i + 1} is no number: ${word.length > 20 ? `${word.slice(0, 20)}…` : word}` };
    }
    numbers.push(number);
  }
  return { numbers };
}

/** Says how many numbers a text has, and how many are needed. */
export function describeVector(text: string, dimensions: number | undefined): { message: string; isGood: boolean } {
  const parsed = parseVector(text);
  if ('problem' in parsed) return { message: parsed.problem, isGood: false };
  const have = parsed.numbers.length;
  if (dimensions === undefined) return { message: `${have} numbers`, isGood: have > 0 };
  return { message: `${have} of ${dimensions} numbers`, isGood: have === dimensions };
}
