/**
 * Typed views over a memory that may grow. The kernels index them by element, `pointer >>> 2` and so on, so pointers must be
 * aligned to the size of what they point at; `>>>` also keeps pointers beyond 2 GiB right.
 */
export class Views {
  u8!: Uint8Array;
  i8!: Int8Array;
  u16!: Uint16Array;
  i16!: Int16Array;
  u32!: Uint32Array;
  i32!: Int32Array;
  f32!: Float32Array;
  f64!: Float64Array;
  readonly #memory: WebAssembly.Memory;
  #buffer: ArrayBufferLike | undefined;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.refresh();
  }

  /** Catches up with growth: a memory that grew has a new buffer object. Called as each kernel starts. */
  refresh(): this {
    const buffer: ArrayBufferLike = this.#memory.buffer;
    if (buffer === this.#buffer) return this;
    this.#buffer = buffer;
    this.u8 = new Uint8Array(buffer);
    this.i8 = new Int8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i16 = new Int16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    return this;
  }
}
