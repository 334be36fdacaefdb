import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** Processor time of one thread since it started, in milliseconds; `id` 0 stands for the whole process. */
export interface ThreadTime {
  readonly id: number;
  readonly name: string;
  readonly milliseconds: number;
}

/** Processor time of one thread, as a part of one core. */
export interface ThreadUse {
  readonly id: number;
  readonly name: string;
  readonly cores: number;
}

/** What this process used during the measured time. */
export interface Usage {
  readonly threads: readonly ThreadUse[];
  /** Milliseconds that the main thread's event loop was late. */
  readonly eventLoopDelay: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Part of the time that the main thread's event loop was not idle. */
  readonly eventLoopUtilization: number;
  /** Bytes of the whole process, at the end. */
  readonly rss: number;
}

const TASKS = '/proc/self/task';
/** The kernel counts in hundredths of a second for programs, whatever its own ticks. */
const MILLISECONDS_PER_TICK = 10;
/** Milliseconds between samples of the event loop's delay, of which they are part. */
const RESOLUTION = 1;

/** Reads one line of /proc/PID/task/ID/stat; undefined if it is none. */
export function parseThreadStat(line: string): ThreadTime | undefined {
  // The name may hold spaces and brackets, so it ends at the last bracket.
  const match = /^(\d+) \((.*)\) (.*)$/s.exec(line.trim());
  if (match === null) return undefined;
  const fields = match[3]!.split(' '); // from field 3 of proc(5) on
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) return undefined;
  return { id: Number(match[1]), name: match[2]!, milliseconds: ticks * MILLISECONDS_PER_TICK };
}

/** Every thread of this process where there is a /proc, else the process as a whole. */
export function threadTimes(tasks = TASKS): ThreadTime[] {
  let ids: string[] = [];
  try {
    ids = readdirSync(tasks);
  } catch {
    // No /proc here.
  }
  const times = ids.flatMap((id) => {
    try {
      return parseThreadStat(readFileSync(join(tasks, id, 'stat'), 'utf8')) ?? [];
    } catch {
      return []; // ended since it was listed
    }
  });
  if (times.length > 0) return times;
  const { user, system } = process.cpuUsage();
  return [{ id: 0, name: 'process', milliseconds: (user + system) / 1000 }];
}

/** Use between two readings, busiest first. Threads that ended in between are left out. */
export function threadUse(before: readonly ThreadTime[], after: readonly ThreadTime[], elapsed: number): ThreadUse[] {
  const started = new Map(before.map(({ id, milliseconds }) => [id, milliseconds]));
  return after
    .map(({ id, name, milliseconds }) => ({
      id,
      name: id === process.pid ? `${name} (main)` : name,
      cores: elapsed > 0 ? Math.max(0, milliseconds - (started.get(id) ?? 0)) / elapsed : 0,
    }))
    .sort((a, b) => b.cores - a.cores || a.id - b.id);
}

/** Starts to watch this process; what is returned ends it. */
export function watchUsage(): () => Usage {
  const before = threadTimes();
  const started = performance.now();
  const loop: EventLoopUtilization = performance.eventLoopUtilization();
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  return () => {
    delay.disable();
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION);
    const known = delay.count > 0;
    return {
      threads: threadUse(before, threadTimes(), performance.now() - started),
      eventLoopDelay: {
        p50: known ? late(delay.percentile(50)) : 0,
        p99: known ? late(delay.percentile(99)) : 0,
        max: known ? late(delay.max) : 0,
      },
      eventLoopUtilization: performance.eventLoopUtilization(loop).utilization,
      rss: process.memoryUsage.rss(),
    };
  };
}
