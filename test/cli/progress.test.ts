import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { createProgress, plainLines, speedOf } from '../../src/cli/progress.ts';

it('writes a line when a phase begins and ends, and at most one a second between', () => {
  const lines: string[] = [];
  let time = 0;
  const progress = plainLines({ write: (text) => lines.push(text) }, () => time);
  for (let done = 1; done <= 30; done++) {
    progress.update('ingest', done * 10, 300);
    time += 100;
  }
  progress.update('encode', 5);
  progress.finish();
  progress.finish();
  expect(lines).toEqual([
    'ingest: started\n',
    'ingest: 110 of 300\n',
    'ingest: 210 of 300\n',
    'ingest: 300 of 300 in 3.0 s\n',
    'encode: started\n',
    'encode: 5 in 0.0 s\n',
  ]);
});

it('draws a bar on a terminal', async () => {
  let text = '';
  const terminal = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  const progress = await createProgress(Object.assign(terminal, { isTTY: true as const, columns: 80 }));
  progress.update('encode', 50, 100);
  progress.update('save', 0);
  progress.finish();
  expect(text).toMatch(/encode +\[#{12}-{12}\] 50% {2}50\/100/);
  expect(text).toContain('save');
});

it('tells the rate and the time left', () => {
  expect(speedOf(0, 100, 1)).toBe('');
  expect(speedOf(50, 100, 0.5)).toBe('  100/s  1 s left');
  expect(speedOf(5, undefined, 2)).toBe('  2.5/s');
  expect(speedOf(100, 100, 2)).toBe('  50/s');
});
