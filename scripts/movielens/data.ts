import { Dataset, loadMovieLens, type MovieLens } from '../../src/recommender/index.ts';

/** One interaction, in the tutorial's words. */
export interface Interaction {
  readonly user_id: string;
  readonly movie_title: string;
}

export interface Split {
  readonly source: MovieLens;
  readonly train: Dataset<Interaction>;
  readonly test: Dataset<Interaction>;
  readonly trainSize: number;
  readonly testSize: number;
  readonly users: string[];
  readonly titles: string[];
}

const TRAIN_FRACTION = 0.8;
const SEED = 42;

/** Loads ratings and splits them by a shuffle: 80 % to train on, the rest to test with. */
export async function loadSplit(directory: string): Promise<Split> {
  const source = await loadMovieLens(directory);
  const ratings = Dataset.from(source.ratings).map(
    ({ userId, movieTitle }): Interaction => ({ user_id: userId, movie_title: movieTitle }),
  );
  const shuffled = ratings.shuffle(source.ratings.length, { seed: SEED }).cache();
  const trainSize = Math.floor(TRAIN_FRACTION * source.ratings.length);
  return {
    source,
    train: shuffled.take(trainSize),
    test: shuffled.skip(trainSize),
    trainSize,
    testSize: source.ratings.length - trainSize,
    users: await ratings
      .map((rating) => rating.user_id)
      .unique()
      .toArray(),
    titles: await ratings
      .map((rating) => rating.movie_title)
      .unique()
      .toArray(),
  };
}

/** How often each title occurs among the interactions. */
export async function popularity(interactions: Dataset<Interaction>): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for await (const { movie_title } of interactions) counts.set(movie_title, (counts.get(movie_title) ?? 0) + 1);
  return counts;
}

/** Accuracy at each k of recommending the same most popular titles to everybody. */
export async function popularityAccuracy(
  counts: ReadonlyMap<string, number>,
  test: Dataset<Interaction>,
  ks: readonly number[],
): Promise<number[]> {
  const ranked = [...counts].sort(([, a], [, b]) => b - a);
  const ranks = new Map(ranked.map(([title], rank) => [title, rank]));
  const hits = ks.map(() => 0);
  let total = 0;
  for await (const { movie_title } of test) {
    const rank = ranks.get(movie_title) ?? Number.POSITIVE_INFINITY;
    total++;
    for (const [i, k] of ks.entries()) if (rank < k) hits[i]!++;
  }
  return hits.map((count) => count / total);
}
