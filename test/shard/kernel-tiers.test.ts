import { afterEach, describe, expect, it, vi } from 'vitest';
import { createMemory } from '../../src/shard/arena.ts';
import { bindKernels, chooseTier, loadKernels, supportsRelaxedSimd } from '../../src/shard/kernels/load.ts';
import { failureOf } from '../support/failures.ts';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** Makes this Node one that runs relaxed SIMD, or does not. */
const pretend = (relaxed: boolean) => vi.spyOn(WebAssembly, 'validate').mockReturnValue(relaxed);

describe('the tier of the kernels', () => {
  it.each([
    [true, 'relaxed'],
    [false, 'simd'],
  ])('is the best that Node runs (relaxed SIMD: %s)', (relaxed, tier) => {
    pretend(relaxed);
    expect(chooseTier('')).toBe(tier);
    vi.stubEnv('SCANNERY_KERNELS', undefined);
    expect(chooseTier()).toBe(tier);
  });

  it('is what SCANNERY_KERNELS says', () => {
    pretend(true);
    for (const tier of ['scalar', 'simd', 'relaxed'] as const) {
      expect(chooseTier(tier)).toBe(tier);
      vi.stubEnv('SCANNERY_KERNELS', tier);
      expect(chooseTier()).toBe(tier);
    }
    vi.stubEnv('SCANNERY_KERNELS', 'scalar');
    expect(loadKernels().tier).toBe('scalar');
  });

  it.each(['SIMD', 'fast', ' simd', 'relaxed-simd', '0', 'toString'])('cannot be %j', async (wanted) => {
    const error = await failureOf(() => chooseTier(wanted));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'SCANNERY_KERNELS', value: wanted });
    expect(error.message).toBe(`SCANNERY_KERNELS must be one of scalar, simd, relaxed, received '${wanted}'`);
  });

  it('cannot be relaxed where Node does not run it', async () => {
    pretend(false);
    const error = await failureOf(() => chooseTier('relaxed'));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_OPTION', option: 'SCANNERY_KERNELS', value: 'relaxed' });
    expect(error.message).toContain(`Node ${process.versions.node} does not run`);
    expect(chooseTier('simd')).toBe('simd');
  });

  it('is probed with a module that Node 22 and later accept', () => {
    const major = Number(process.versions.node.split('.')[0]);
    expect(supportsRelaxedSimd()).toBe(major >= 22);
  });
});

describe('kernels', () => {
  it('are compiled once per process', () => {
    const { module } = loadKernels('simd');
    expect(module).toBeInstanceOf(WebAssembly.Module);
    expect(loadKernels('simd').module).toBe(module);
    expect(loadKernels('scalar')).toEqual({ tier: 'scalar' });
  });

  it.each(['scalar', 'simd'] as const)('of tier %s work on the memory they are bound to', (tier) => {
    const source = loadKernels(tier);
    const [one, two] = [createMemory(64), createMemory(64)];
    new Uint8Array(one.buffer).set(Buffer.from('abc'), 1024);
    expect(bindKernels(source, one).xxh32(1024, 3, 0) >>> 0).toBe(0x32d153ff);
    expect(bindKernels(source, two).xxh32(1024, 3, 0) >>> 0).not.toBe(0x32d153ff);
  });
});
