// A process of its own, to see what keeps it alive. Its argument says what it leaves open when its code ends.
import { Index } from '../../src/index.ts';

const [, , what] = process.argv;
const vectors = Float32Array.from({ length: 40_000 }, (_, i) => Math.sin(i * 1.7));
const index = await Index.build({ vectors }, { dimensions: 20, threads: 2, tree: false, hashing: false });
process.on('exit', () => process.stdout.write(`exit ${what}\n`));

if (what === 'pending') {
  void index.searchBatch(Array.from({ length: 3000 }, (_, i) => vectors.subarray(i * 10, i * 10 + 20))).then((all) => {
    process.stdout.write(`answered ${all.length}\n`);
  });
}
if (what === 'after') {
  await index.search(vectors.subarray(0, 20));
  await index.search([Number.NaN]).catch(() => {});
}
if (what === 'closed') await index.close();
process.stdout.write('end of code\n');
