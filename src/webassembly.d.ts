// What we use of WebAssembly's JavaScript interface. TypeScript declares it in the DOM library only, whose other globals do
// not exist in Node.
declare namespace WebAssembly {
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
    shared?: boolean;
  }
  interface Memory {
    readonly buffer: SharedArrayBuffer;
    grow(pages: number): number;
  }
  const Memory: { new (descriptor: MemoryDescriptor): Memory };
  interface Module {
    readonly [moduleBrand]?: never;
  }
  const moduleBrand: unique symbol;
  const Module: { new (bytes: Uint8Array): Module };
  interface Instance {
    readonly exports: Record<string, unknown>;
  }
  const Instance: { new (module: Module, imports: Record<string, Record<string, unknown>>): Instance };
  function validate(bytes: Uint8Array): boolean;
}
