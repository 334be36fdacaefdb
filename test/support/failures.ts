import { ScanneryError } from '../../src/index.ts';

/** The error that some work rejects with; fails if it does not, or if the error is not one of this package. */
export async function failureOf(work: Promise<unknown> | (() => unknown)): Promise<ScanneryError> {
  let value: unknown;
  try {
    value = await (typeof work === 'function' ? work() : work);
  } catch (error) {
    if (error instanceof ScanneryError) return error;
    throw error;
  }
  throw new Error(`expected a failure, received ${String(value)}`);
}
