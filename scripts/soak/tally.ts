export type Kind =
  | 'approximate search'
  | 'exact search'
  | 'batch'
  | 'get, has'
  | 'upsert'
  | 'delete'
  | 'refused call'
  | 'save'
  | 'rebalance';

/** Problems that are told one by one; the rest is only counted. */
const TOLD = 20;

/** What was called, what became of it, and what was wrong. */
export class Tally {
  submitted = 0;
  settled = 0;
  /** Calls answered, by kind. */
  readonly answered = new Map<Kind, number>();
  readonly problems: string[] = [];
  problemCount = 0;
  /** Of approximate searches: the results that were due, and those of them that were found. */
  wanted = 0;
  hits = 0;
  /** Answers that had more than one state to be of. */
  besideWrites = 0;
  filtered = 0;
  crowded = 0;

  get pending(): number {
    return this.submitted - this.settled;
  }

  get recall(): number {
    return this.wanted === 0 ? 1 : this.hits / this.wanted;
  }

  /** Makes a call, and counts it. An error is one that nobody asked for. */
  async call<T>(kind: Kind, make: () => Promise<T>): Promise<T | undefined> {
    this.submitted++;
    try {
      const result = await make();
      this.answered.set(kind, (this.answered.get(kind) ?? 0) + 1);
      return result;
    } catch (error) {
      this.wrong(`${kind}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
      return undefined;
    } finally {
      this.settled++;
    }
  }

  wrong(problem: string): void {
    if (this.problemCount++ < TOLD) this.problems.push(problem);
  }
}
