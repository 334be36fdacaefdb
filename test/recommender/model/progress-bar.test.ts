import { describe, expect, it, vi } from 'vitest';
import { ProgressBar, type TrainingProgress } from '../../../src/recommender/model/progress-bar.ts';

const CLEARED = '\r\x1b[K';

function stream(isTTY?: boolean): { isTTY?: boolean; readonly texts: string[]; write(text: string): void } {
  const texts: string[] = [];
  return { ...(isTTY === undefined ? {} : { isTTY }), texts, write: (text) => texts.push(text) };
}

const at = (batch: number, batches?: number, logs: Record<string, number> = {}): TrainingProgress => ({
  ...{ epoch: 2, epochs: 3, batch, batches, seconds: 1.26, logs },
});

describe('on a terminal', () => {
  it('draws over the same line, and leaves it at the end of the epoch', () => {
    const terminal = stream(true);
    const bar = new ProgressBar(terminal);
    bar.update(at(1, 4));
    bar.update(at(2, 4));
    bar.endEpoch(at(4, 4));
    expect(terminal.texts).toEqual([
      `${CLEARED}Epoch 2/3 1/4 [${'='.repeat(8)}${'.'.repeat(22)}] - 1.3 s`,
      `${CLEARED}Epoch 2/3 2/4 [${'='.repeat(15)}${'.'.repeat(15)}] - 1.3 s`,
      `${CLEARED}Epoch 2/3 4/4 [${'='.repeat(30)}] - 1.3 s\n`,
    ]);
  });

  it('counts batches without a bar while nobody knows how many there are', () => {
    const terminal = stream(true);
    new ProgressBar(terminal).update(at(17));
    expect(terminal.texts).toEqual([`${CLEARED}Epoch 2/3 17 - 1.3 s`]);
  });

  it('keeps the width of the bar when an epoch has more batches than the one before', () => {
    const terminal = stream(true);
    new ProgressBar(terminal).update(at(9, 4));
    expect(terminal.texts).toEqual([`${CLEARED}Epoch 2/3 9/4 [${'='.repeat(30)}] - 1.3 s`]);
  });

  it('shows figures in their order, large ones with fewer places', () => {
    const terminal = stream(true);
    new ProgressBar(terminal).update(at(1, 1, { loss: 12345.678, mean_loss: 1.23456, acc: 0, less: -1000 }));
    expect(terminal.texts[0]).toContain('s - loss: 12345.7 - mean_loss: 1.2346 - acc: 0.0000 - less: -1000.0');
  });
});

describe.each([undefined, false])('elsewhere (isTTY %s)', (isTTY) => {
  it('writes one plain line per epoch', () => {
    const file = stream(isTTY);
    const bar = new ProgressBar(file);
    bar.update(at(1, 2));
    bar.update(at(2, 2));
    expect(file.texts).toEqual([]);
    bar.endEpoch(at(2, 2, { loss: 1 }));
    expect(file.texts).toEqual([`Epoch 2/3 2/2 [${'='.repeat(30)}] - 1.3 s - loss: 1.0000\n`]);
  });
});

it('draws on standard error unless told otherwise', () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    new ProgressBar().endEpoch(at(1, 1));
    expect(write).toHaveBeenCalledTimes(1);
    expect(String(write.mock.calls[0]![0])).toMatch(/Epoch 2\/3 1\/1 .*\n$/);
  } finally {
    write.mockRestore();
  }
});
