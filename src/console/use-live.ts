import { useEffect, useState } from 'preact/hooks';
import type { IndexStats } from '../coordinator/types.ts';
import { ApiError, metrics, stats } from './api.ts';
import { type Point, pointOf, type Reading, readingOf, recent } from './readings.ts';

const INTERVAL = 2000;

/** What polling has found out so far. */
export interface Live {
  readonly stats: IndexStats | undefined;
  readonly points: readonly Point[];
  readonly error: ApiError | undefined;
}

/** Asks the server every two seconds, while the page is seen and `isOn`. */
export function useLive(isOn: boolean): Live {
  const [live, setLive] = useState<Live>({ stats: undefined, points: [], error: undefined });

  useEffect(() => {
    if (!isOn) return;
    let readings: Reading[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let hasEnded = false;

    const poll = async (): Promise<void> => {
      timer = undefined;
      try {
        const [found, text] = await Promise.all([stats(), metrics()]);
        if (hasEnded) return;
        const reading = readingOf(text, Date.now() / 1000);
        const point = pointOf(readings, reading);
        readings = recent([...readings, reading], reading.time);
        setLive((before) => ({
          stats: found,
          points: recent([...before.points, point], point.time),
          error: undefined,
        }));
      } catch (error) {
        if (hasEnded) return;
        if (!(error instanceof ApiError)) throw error;
        setLive((before) => ({ ...before, error }));
      }
      schedule(INTERVAL);
    };
    const schedule = (delay: number): void => {
      if (!hasEnded && !document.hidden) timer ??= setTimeout(poll, delay);
    };
    const onVisibility = (): void => {
      clearTimeout(timer);
      timer = undefined;
      schedule(0);
    };
    document.addEventListener('visibilitychange', onVisibility);
    schedule(0);
    return () => {
      hasEnded = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisibility);
    };
  }, [isOn]);

  return live;
}
