import { useCallback, useEffect, useState } from 'preact/hooks';
import { ApiError } from './api.ts';

/** What a panel asked for, or why it has not got it. */
export interface Asked<T> {
  readonly value: T | undefined;
  readonly error: ApiError | undefined;
  readonly isBusy: boolean;
  /** Asks for something else, whose answer takes the place of the one before. */
  readonly ask: (work: () => Promise<T>) => Promise<void>;
}

/** Asks as soon as `isReady`, and when told to. */
export function useAnswer<T>(first: () => Promise<T>, isReady: boolean): Asked<T> {
  const [state, setState] = useState<{ value?: T; error?: ApiError; isBusy: boolean }>({ isBusy: false });
  const ask = useCallback(async (work: () => Promise<T>) => {
    setState((before) => ({ ...before, isBusy: true }));
    try {
      setState({ value: await work(), isBusy: false });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setState(({ value }) => ({ ...(value !== undefined && { value }), error, isBusy: false }));
    }
  }, []);
  useEffect(() => {
    if (isReady) void ask(first);
  }, [isReady, ask, first]);
  return { value: state.value, error: state.error, isBusy: state.isBusy, ask };
}
