import { readFileSync } from 'node:fs';
import { ScanneryError } from '../../protocol/errors.ts';
import { KERNEL_TIERS, type Kernels, type KernelTier } from './kernels.ts';
import { createScalarKernels } from './scalar/index.ts';

/** A chosen tier and its compiled module, ready to be instantiated over any memory in any thread. */
export interface KernelSource {
  readonly tier: KernelTier;
  readonly module?: WebAssembly.Module;
}

const compiled = new Map<KernelTier, WebAssembly.Module>();

// (module (func (result v128) i32.const 0 i8x16.splat i32.const 0 i8x16.splat i8x16.relaxed_swizzle))
const RELAXED_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 0, 253, 15, 65, 0, 253, 15,
  253, 128, 2, 11,
]);

/** Whether this Node runs WebAssembly relaxed SIMD: 22 and later do, 20 with `--experimental-wasm-relaxed-simd`. */
export function supportsRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_PROBE);
}

/** The tier that SCANNERY_KERNELS asks for, or the best that this Node runs. */
export function chooseTier(wanted: string | undefined = process.env.SCANNERY_KERNELS): KernelTier {
  const relaxed = supportsRelaxedSimd();
  if (wanted === undefined || wanted === '') return relaxed ? 'relaxed' : 'simd';
  const tier = KERNEL_TIERS.find((name) => name === wanted);
  if (tier === undefined || (tier === 'relaxed' && !relaxed)) {
    throw new ScanneryError(
      'SCANNERY_INVALID_OPTION',
      tier === undefined
        ? `SCANNERY_KERNELS must be one of ${KERNEL_TIERS.join(', ')}, received '${wanted}'`
        : `SCANNERY_KERNELS is 'relaxed', but Node ${process.versions.node} does not run WebAssembly relaxed SIMD`,
      { option: 'SCANNERY_KERNELS', value: wanted },
    );
  }
  return tier;
}

/** Compiles the kernels of a tier, once per process. */
export function loadKernels(tier: KernelTier = chooseTier()): KernelSource {
  if (tier === 'scalar') return { tier };
  let module = compiled.get(tier);
  if (module === undefined) {
    module = new WebAssembly.Module(readFileSync(new URL(`./${tier}.wasm`, import.meta.url)));
    compiled.set(tier, module);
  }
  return { tier, module };
}

/** Binds the kernels to one memory; cheap enough to do per thread and memory. */
export function bindKernels(source: KernelSource, memory: WebAssembly.Memory): Kernels {
  if (source.module === undefined) return createScalarKernels(memory);
  return new WebAssembly.Instance(source.module, { env: { memory } }).exports as unknown as Kernels;
}
