import {
  Adagrad,
  Dataset,
  Embedding,
  FactorizedTopK,
  Retrieval,
  StringLookup,
  Tower,
  TwoTowerModel,
} from '../../src/recommender/index.ts';
import { popularity, type Split } from './data.ts';

const DIMENSIONS = 32;

export interface Trained {
  readonly model: TwoTowerModel;
  /** The titles in batches, each with its embeddings. */
  readonly movies: Dataset<[string[], Float32Array]>;
  readonly metrics: FactorizedTopK;
}

/** What the tutorial trains with, and what we recommend in its place. */
export interface Settings {
  readonly batchSize: number;
  readonly temperature: number;
  /** Correct the logits for how often a title comes up as a negative, and take no title as its own negative. */
  readonly corrected: boolean;
}

export const TUTORIAL: Settings = { batchSize: 8192, temperature: 1, corrected: false };
export const RECOMMENDED: Settings = { batchSize: 1024, temperature: 2, corrected: true };

export async function makeModel(split: Split, settings: Settings): Promise<Trained> {
  const { users, titles, train, trainSize } = split;
  const userModel = new Tower([new StringLookup({ vocabulary: users }), new Embedding(users.length + 1, DIMENSIONS)]);
  const movieModel = new Tower([
    new StringLookup({ vocabulary: titles }),
    new Embedding(titles.length + 1, DIMENSIONS),
  ]);
  const movies = Dataset.from(titles)
    .batch(128)
    .map(async (batch): Promise<[string[], Float32Array]> => [batch, await movieModel.embed(batch)]);
  const metrics = new FactorizedTopK({ candidates: movies });
  const counts = await popularity(train);
  const share = (title: string): number => (counts.get(title) ?? 1) / trainSize;
  const model = new TwoTowerModel({
    queryTower: userModel,
    candidateTower: movieModel,
    queryFeatures: 'user_id',
    candidateFeatures: 'movie_title',
    candidateIds: 'movie_title',
    ...(settings.corrected && {
      candidateSamplingProbability: (batch) => (batch as { movie_title: string[] }).movie_title.map(share),
    }),
    task: new Retrieval({
      metrics,
      temperature: settings.temperature,
      removeAccidentalHits: settings.corrected,
    }),
  });
  model.compile({ optimizer: new Adagrad({ learningRate: 0.1 }) });
  return { model, movies, metrics };
}
