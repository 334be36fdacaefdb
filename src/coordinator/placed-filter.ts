import type { Extent, Extents } from './extents.ts';

/** A filter in the control memory, which is given back when nobody needs it any more. */
export class PlacedFilter {
  readonly #extent: Extent;
  readonly #extents: Extents;
  /** Whoever placed it is one of them. */
  #users = 1;

  constructor(extent: Extent, extents: Extents) {
    this.#extent = extent;
    this.#extents = extents;
  }

  get pointer(): number {
    return this.#extent.pointer;
  }

  use(): this {
    this.#users++;
    return this;
  }

  release(): void {
    if (--this.#users === 0) this.#extents.give(this.#extent);
  }
}
