// Candidates are u64 keys that sort as (score descending, id ascending) when compared as integers, largest first:
// the score's bits in an order-preserving form above, the complement of the id below. See protocol/order.ts.

// @ts-ignore: decorator
@inline export function keyOf(score: f32, id: u32): u64 {
  const bits = reinterpret<u32>(score + <f32>0); // -0 becomes +0
  const ordered = bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
  return (<u64>ordered << 32) | <u64>~id;
}

// @ts-ignore: decorator
@inline export function scoreOf(key: u64): f32 {
  const ordered = <u32>(key >> 32);
  return reinterpret<f32>(ordered ^ (~<u32>(<i32>ordered >> 31) | 0x80000000));
}

// @ts-ignore: decorator
@inline export function idOf(key: u64): u32 {
  return ~<u32>key;
}
