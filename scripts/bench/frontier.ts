interface Rated {
  readonly recall: number;
  readonly qps: number;
}

/** The points that no other point beats in both recall and speed, by ascending recall. */
export function paretoFrontier<P extends Rated>(points: readonly P[]): P[] {
  const frontier: P[] = [];
  let fastest = Number.NEGATIVE_INFINITY;
  for (const point of [...points].sort((a, b) => b.recall - a.recall || b.qps - a.qps)) {
    if (point.qps <= fastest) continue;
    fastest = point.qps;
    frontier.push(point);
  }
  return frontier.reverse();
}

/**
 * Queries a second at a recall: between two points of the frontier log(QPS) is taken to be linear in recall. Below the first
 * point it is that point's, which does better than asked for; beyond the last it is not known.
 */
export function qpsAtRecall(points: readonly Rated[], recall: number): number | undefined {
  const frontier = paretoFrontier(points);
  const next = frontier.findIndex((point) => point.recall >= recall);
  if (next < 0) return undefined;
  const above = frontier[next]!;
  const below = frontier[next - 1];
  if (below === undefined || above.recall === recall) return above.qps;
  const part = (recall - below.recall) / (above.recall - below.recall);
  return Math.exp(Math.log(below.qps) * (1 - part) + Math.log(above.qps) * part);
}
