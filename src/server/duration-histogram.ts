import type { Metric, Registry } from 'prom-client';

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** Per bucket, those above all bounds last. */
  readonly counts: Float64Array;
  sum: number;
}

/**
 * A histogram of Prometheus whose series are made once, so that noting a value only counts it; `Histogram` of prom-client writes the
 * labels out each time.
 */
export class DurationHistogram {
  readonly #bounds: readonly number[];
  readonly #series: Series[] = [];

  /** @param bounds Of the buckets, in seconds, ascending */
  constructor(name: string, help: string, bounds: readonly number[], registry: Registry) {
    this.#bounds = bounds;
    const get = async () => ({ name, help, type: 'histogram', aggregator: 'sum', values: this.#values(name) });
    // What a registry asks of a metric; its type wants a metric of prom-client's own.
    registry.registerMetric({ name, help, get } as unknown as Metric);
  }

  /** Makes a series; what it returns notes a value of it. */
  series(labels: Readonly<Record<string, string>>): (seconds: number) => void {
    const bounds = this.#bounds;
    const series = { labels, counts: new Float64Array(bounds.length + 1), sum: 0 };
    this.#series.push(series);
    return (seconds) => {
      let bucket = 0;
      while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++;
      series.counts[bucket]!++;
      series.sum += seconds;
    };
  }

  #values(name: string): object[] {
    return this.#series.flatMap(({ labels, counts, sum }) => {
      let count = 0;
      const buckets = Array.from(counts, (inBucket, i) => {
        count += inBucket;
        return { labels: { ...labels, le: this.#bounds[i] ?? '+Inf' }, value: count, metricName: `${name}_bucket` };
      });
      return [
        ...buckets,
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: count, metricName: `${name}_count` },
      ];
    });
  }
}
