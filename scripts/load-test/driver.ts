import { type Clock, systemClock } from './clock.ts';
import { createTimes, type Times } from './histogram.ts';
import { poissonSchedule } from './schedule.ts';

/** What is under load. */
export interface Target {
  /** Asks one query; rejects if it is not answered. */
  search(queryIndex: number): Promise<void>;
  close(): Promise<void>;
}

/** How to wait for the next arrival: 'spin' is punctual and takes a core, 'timer' takes none and is late by 1 ms or so. */
export type Pace = 'spin' | 'timer';

export interface Load {
  /** Arrivals a second. */
  readonly rate: number;
  /** Milliseconds that are measured, after those of the warm-up. */
  readonly duration: number;
  readonly warmUp: number;
  /** Milliseconds to wait for the last answers. */
  readonly drain: number;
  /** Arrivals beyond so many unanswered ones are dropped. */
  readonly maxOutstanding: number;
  readonly pace: Pace;
  readonly seed: number;
}

export interface Snapshot {
  readonly phase: 'warm-up' | 'measure' | 'drain';
  /** Milliseconds since the start of the warm-up. */
  readonly elapsed: number;
  /** Since the start, warm-up included. */
  readonly arrived: number;
  readonly answered: number;
  readonly failed: number;
  readonly dropped: number;
  readonly outstanding: number;
}

export interface Hooks {
  readonly clock?: Clock;
  /** Ends the run early; what was measured until then is the result. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the measured time starts, and when it ends. */
  readonly onMeasure?: (started: boolean) => void;
  readonly onProgress?: (snapshot: Snapshot) => void;
}

/** Of the measured time alone, unless it says otherwise. */
export interface RunResult {
  readonly rate: number;
  /** Milliseconds measured; fewer than wanted when interrupted. */
  readonly duration: number;
  readonly interrupted: boolean;
  /** Arrivals of the schedule. */
  readonly arrived: number;
  readonly answered: number;
  /** Arrivals a second that the schedule in fact held; a Poisson process strays from its rate. */
  readonly offeredRate: number;
  /** Answers a second: those to the arrivals of the measured time, over how long they took to come. */
  readonly achievedRate: number;
  /** Arrivals that were never sent, because `maxOutstanding` were unanswered. */
  readonly dropped: number;
  /** Failures by the error's code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Sent and not answered when the drain ended; `latency` holds their age by then, the least that it can have been. */
  readonly unanswered: number;
  readonly peakOutstanding: number;
  /** From the intended start of a query to its answer. */
  readonly latency: Times;
  /** From the call to its answer: what a closed loop would report. */
  readonly service: Times;
  /** From the intended start to the call. */
  readonly lateness: Times;
  /** Part of the measured time in which the thread merely waited for the next arrival by spinning. */
  readonly spinning: number;
  readonly warmUp: { readonly arrived: number; readonly dropped: number; readonly failed: number };
}

/** Timers are trusted until so many milliseconds before an arrival; the rest is spun. */
const TIMER_SLACK = 1.5;
/** Longest sleep, so that an interrupt is noticed. */
const LONGEST_SLEEP = 100;
const PROGRESS_EVERY = 200;
/** Milliseconds for the last answers of a run that was cut short by someone who waits. */
const INTERRUPTED_DRAIN = 1000;

export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' || typeof code === 'number' ? String(code) : error.name;
}

/**
 * Sends the queries of a Poisson schedule to `target`, each when it is due and never later because others are unanswered:
 * arrivals that fell due while the thread was busy are sent at its next turn. Latency counts from when a query was due, so
 * a stall is felt by every query that fell due during it.
 *
 * @param queries how many different queries `target` has; they take turns
 */
export async function drive(target: Target, queries: number, load: Load, hooks: Hooks = {}): Promise<RunResult> {
  const { clock = systemClock, signal, onMeasure, onProgress } = hooks;
  const { duration, warmUp, maxOutstanding } = load;
  const nextArrival = poissonSchedule(load.rate, load.seed);
  const [latency, service, lateness] = [createTimes(), createTimes(), createTimes()];
  const waiting = new Set<{ readonly due: number; readonly called: number }>();
  const errors: Record<string, number> = {};
  const total = { arrived: 0, answered: 0, failed: 0, dropped: 0 };
  const measured = { arrived: 0, answered: 0, dropped: 0 };
  const warm = { arrived: 0, dropped: 0, failed: 0 };
  let peakOutstanding = 0;
  let spun = 0;
  let [firstDue, lastDue, firstAnswer, lastAnswer] = [Number.NaN, Number.NaN, Number.NaN, Number.NaN];
  let settled = 0; // settles of either kind, to tell whether a turn had work

  const start = clock.now();
  const elapsed = (): number => clock.now() - start;

  function send(due: number): void {
    const counts = due >= warmUp ? measured : warm;
    const number = total.arrived++;
    counts.arrived++;
    if (counts === measured) {
      if (Number.isNaN(firstDue)) firstDue = due;
      lastDue = due;
    }
    if (waiting.size >= maxOutstanding) {
      total.dropped++;
      counts.dropped++;
      return;
    }
    const query = { due, called: elapsed() };
    waiting.add(query);
    if (due >= warmUp) {
      peakOutstanding = Math.max(peakOutstanding, waiting.size);
      lateness.record(query.called - due);
    }
    const end = (error?: { readonly reason: unknown }): void => {
      if (!waiting.delete(query)) return; // counted as unanswered already
      settled++;
      const now = elapsed();
      if (error) total.failed++;
      else total.answered++;
      if (due < warmUp) {
        if (error) warm.failed++;
        return;
      }
      if (error) {
        const code = errorCode(error.reason);
        errors[code] = (errors[code] ?? 0) + 1;
        return;
      }
      measured.answered++;
      if (Number.isNaN(firstAnswer)) firstAnswer = now;
      lastAnswer = now;
      latency.record(now - due);
      service.record(now - query.called);
    };
    try {
      target.search(number % queries).then(
        () => end(),
        (reason: unknown) => end({ reason }),
      );
    } catch (reason) {
      end({ reason });
    }
  }

  let reportedAt = 0;
  function report(phase: Snapshot['phase'], now: number): void {
    if (onProgress === undefined || now - reportedAt < PROGRESS_EVERY) return;
    reportedAt = now;
    onProgress({ phase, elapsed: now, ...total, outstanding: waiting.size });
  }

  /** Waits until `until` at the latest by the clock's own lateness; returns milliseconds spun without anything to do. */
  async function pause(until: number, now: number): Promise<number> {
    const gap = until - now;
    if (load.pace === 'timer' && gap > 0) await clock.sleep(Math.min(gap, LONGEST_SLEEP));
    else if (gap > 2 * TIMER_SLACK) await clock.sleep(Math.min(gap - TIMER_SLACK, LONGEST_SLEEP));
    else {
      const [before, from] = [settled, elapsed()];
      await clock.turn();
      return gap > 0 && settled === before ? elapsed() - from : 0;
    }
    return 0;
  }

  let measuring = false;
  const end = warmUp + duration;
  let due = nextArrival();
  let now = 0;
  for (; now < end && signal?.aborted !== true; now = elapsed()) {
    if (!measuring && now >= warmUp) {
      measuring = true;
      onMeasure?.(true);
    }
    report(measuring ? 'measure' : 'warm-up', now);
    // Up to what was due when this turn began, so that answers get their turn however late the loop is.
    for (; due <= now && due < end; due = nextArrival()) send(due);
    const idle = await pause(Math.min(due, measuring ? end : warmUp), now);
    if (measuring) spun += idle;
  }
  // Arrivals of a last, long turn are due as well, unless the run was cut short.
  const interrupted = now < end;
  if (!interrupted) for (; due < end; due = nextArrival()) send(due);
  const duringMeasure = Math.max(0, Math.min(now, end) - warmUp);
  if (measuring) onMeasure?.(false);

  const drained = now + (interrupted ? Math.min(load.drain, INTERRUPTED_DRAIN) : load.drain);
  // An interrupt that comes during the drain ends it.
  while (waiting.size > 0 && now < drained && (interrupted || signal?.aborted !== true)) {
    report('drain', now);
    await clock.sleep(1);
    now = elapsed();
  }
  let unanswered = 0;
  for (const query of waiting) {
    if (query.due < warmUp) continue;
    unanswered++;
    latency.record(now - query.due);
    service.record(now - query.called);
  }
  waiting.clear();
  if (unanswered > 0) lastAnswer = now;

  // Answers may come later than arrivals, but then as fast: only what they fall further behind counts against them.
  const behind = lastAnswer - lastDue - (firstAnswer - firstDue);
  const seconds = (duringMeasure + Math.max(0, behind || 0)) / 1000;
  return {
    rate: load.rate,
    duration: duringMeasure,
    interrupted: interrupted || signal?.aborted === true,
    ...measured,
    offeredRate: duringMeasure > 0 ? measured.arrived / (duringMeasure / 1000) : 0,
    achievedRate: seconds > 0 ? measured.answered / seconds : 0,
    errors,
    unanswered,
    peakOutstanding,
    ...{ latency, service, lateness },
    spinning: duringMeasure > 0 ? spun / duringMeasure : 0,
    warmUp: warm,
  };
}
