import { expect, it } from 'vitest';
import { KERNEL_TIERS } from '../../../src/shard/kernels/kernels.ts';
import { bindKernels, loadKernels, supportsRelaxedSimd } from '../../../src/shard/kernels/load.ts';

it.each(KERNEL_TIERS.filter((tier) => tier !== 'relaxed' || supportsRelaxedSimd()))(
  'the %s kernels see a memory that grew after they were bound',
  (tier) => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 16, shared: true });
    const kernels = bindKernels(loadKernels(tier), memory);
    expect(kernels.firstInvalidRow(1024, 1, 4, 1)).toBe(-1);
    memory.grow(2);
    const rows = 2 * 65536;
    new Float32Array(memory.buffer, rows, 8).set([3, 0, 0, 4, 0, 2, 0, 0]);
    expect(kernels.firstInvalidRow(rows, 2, 4, 3)).toBe(0);
    expect(kernels.normalizeRows(rows, 2, 4)).toBe(-1);
    expect([...new Float32Array(memory.buffer, rows, 8)]).toEqual([0.6, 0, 0, 0.8, 0, 1, 0, 0].map(Math.fround));
  },
);
