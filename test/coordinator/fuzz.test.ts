import { afterAll, beforeAll, expect, it } from 'vitest';
import { Random } from '../support/random.ts';
import { SavedIndex } from '../support/saved-index.ts';
import { clustered } from '../support/vectors.ts';

/** `SCANNERY_FUZZ_CASES=10000 npx vitest run test/coordinator/fuzz.test.ts` tries as many; SCANNERY_FUZZ_SEED gives others. */
const CASES = Number(process.env.SCANNERY_FUZZ_CASES ?? 400);
const random = new Random(Number(process.env.SCANNERY_FUZZ_SEED ?? 1));

let saved: SavedIndex;
beforeAll(async () => {
  const row = (i: number): Float32Array => Float32Array.from({ length: 6 }, (_, j) => i + j);
  saved = await SavedIndex.make(
    clustered(120, 6),
    [3, 50, 51, 119],
    [
      { kind: 'upsert', ids: ['id 1', 'new'], row },
      { kind: 'delete', ids: ['id 2', 'unknown'] },
      { kind: 'upsert', ids: Array.from({ length: 40 }, (_, i) => `later ${i}`), row },
      { kind: 'defaults', defaults: { k: 3, numLeavesToSearch: 4, numReorderingCandidates: 50 } },
      { kind: 'upsert', ids: ['last'], row },
    ],
  );
});
afterAll(() => saved.restore());

/** A place in a file; headers, which are short, are as likely as all the rest. */
function place(bytes: Buffer): number {
  return random.int(0, Math.max(0, (random.float() < 0.5 ? Math.min(600, bytes.length) : bytes.length) - 1));
}
const length = (): number => random.int(1, 2 ** random.int(0, 13));
const another = (): Buffer => Buffer.from(saved.original(random.pick(saved.files)));

const DAMAGES: Record<string, (bytes: Buffer) => Buffer> = {
  flip: (bytes) => {
    for (let flips = random.int(1, 8); flips > 0; flips--) {
      const at = place(bytes);
      if (at < bytes.length) bytes[at]! ^= 1 << random.int(0, 7);
    }
    return bytes;
  },
  cut: (bytes) => bytes.subarray(0, place(bytes)),
  'cut out': (bytes) => {
    const at = place(bytes);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length())]);
  },
  extend: (bytes) => Buffer.concat([bytes, another().subarray(0, length())]),
  insert: (bytes) => {
    const at = place(bytes);
    return Buffer.concat([bytes.subarray(0, at), another().subarray(0, length()), bytes.subarray(at)]);
  },
  zero: (bytes) => {
    const at = place(bytes);
    return bytes.fill(0, at, Math.min(bytes.length, at + length()));
  },
  'swap ranges': (bytes) => {
    const [a, b] = [place(bytes), place(bytes)];
    const held = Buffer.from(bytes.subarray(a, a + length()));
    bytes.copyWithin(a, b, Math.min(bytes.length, b + held.length));
    held.copy(bytes, b);
    return bytes;
  },
  overwrite: (bytes) => {
    const from = another();
    from.copy(bytes, place(bytes), place(from));
    return bytes;
  },
  replace: another,
};

it(`ends ${CASES} times in a typed error or in the index that was saved, with the first of what was written since`, async () => {
  const seen: Record<string, number> = {};
  for (let i = 0; i < CASES; i++) {
    const replaced = new Map<string, Buffer>();
    const done: string[] = [];
    for (let files = random.int(1, 4) === 1 ? 2 : 1; files > 0; files--) {
      const [file, damage] = [random.pick(saved.files), random.pick(Object.keys(DAMAGES))];
      replaced.set(file, DAMAGES[damage]!(Buffer.from(replaced.get(file) ?? saved.original(file))));
      done.push(`${damage} ${file}`);
    }
    try {
      const code = await saved.outcome(replaced);
      seen[code] = (seen[code] ?? 0) + 1;
    } catch (cause) {
      throw new Error(`case ${i}: ${done.join(', ')}`, { cause });
    }
  }
  const codes = ['SCANNERY_BAD_MAGIC', 'SCANNERY_CHECKSUM', 'SCANNERY_NEWER_VERSION', 'SCANNERY_TRUNCATED'];
  expect(Object.keys(seen).sort()).toEqual([...codes, 'less', 'same']);
}, 600_000);
