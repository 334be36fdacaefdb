import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { reading } from '../../io/reading.ts';
import { text } from '../../protocol/check.ts';
import { ScanneryError, show } from '../../protocol/errors.ts';
import { badLine } from './data-files.ts';
import { FORMATS, type Format, readMovies } from './movielens-formats.ts';

/** One rating of a movie by a user. */
export interface Rating {
  userId: string;
  movieId: string;
  /** The title of the movie; two movies may have the same, and only their ids tell them apart. */
  movieTitle: string;
  /** Stars: 1 to 5, or 0.5 to 5 in steps of a half. */
  rating: number;
  /** Seconds since 1970-01-01 UTC. */
  timestamp: number;
}

export interface Movie {
  movieId: string;
  /** With the year where it is known: `Toy Story (1995)`. */
  title: string;
  /** Absent where the title does not end in a year. */
  year?: number;
  /** Empty when none are listed. */
  genres: string[];
}

export interface MovieLens {
  /** In file order. */
  ratings: Rating[];
  /** In file order, those nobody rated included. */
  movies: Movie[];
  /** The layout that was found; `ml-1m` is that of ml-10m too, and `latest` that of ml-20m and ml-25m. */
  format: 'latest' | 'ml-100k' | 'ml-1m' | 'dslabs';
}

/**
 * Reads a MovieLens data set (GroupLens Research, https://grouplens.org/datasets/movielens/; Harper and Konstan, 2015) from
 * the directory that holds its files, in any of these layouts, the first that is there:
 *
 * - `ratings.csv.gz` and `movies.csv.gz`: latest-small as R's dslabs has it, with the year in a column of its own; a movie
 *   without title and year is called `Movie <movieId>`,
 * - `ratings.csv` and `movies.csv`: ml-latest, ml-latest-small, ml-20m, ml-25m, ml-32m,
 * - `ratings.dat` and `movies.dat`: ml-1m, ml-10m,
 * - `u.data` and `u.item`: ml-100k.
 *
 * Titles stay as they are in the files, so two movies may have the same. Ratings are read as a stream; the result is held in
 * memory, about 100 bytes a rating.
 *
 * @throws {ScanneryError} SCANNERY_NOT_FOUND when the directory does not hold these files; SCANNERY_INVALID_DATA, with `path`
 * and `row` (the line, counted from 0), for a line with a wrong number of fields, wrong quotes, an empty id or title, a rating
 * or timestamp that is no number, a movie listed twice, or a rating of a movie that is not listed; SCANNERY_TRUNCATED for a
 * gzip file that is cut; SCANNERY_IO; SCANNERY_INVALID_OPTION
 */
export async function loadMovieLens(directory: string): Promise<MovieLens> {
  const format = await findFormat(text(directory, 'directory'));
  const movies = await readMovies(join(directory, format.moviesFile), format);
  const ratings = await readRatings(join(directory, format.ratingsFile), format, movies);
  return { ratings, movies, format: format.name };
}

async function findFormat(directory: string): Promise<Format> {
  const entries = await reading(directory, () => readdir(directory, { withFileTypes: true }));
  const found = formatOf(entries.map(({ name }) => name));
  if (found !== undefined) return found;
  const sets = FORMATS.map((format) => filesOf(format)).join(', ');
  const inside: string[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const path = join(directory, entry.name);
    const format = formatOf(await readdir(path).catch(() => []));
    if (format !== undefined) inside.push(`its folder ${path} holds ${filesOf(format)}`);
  }
  const message = [`${directory} holds none of these: ${sets}`, ...inside.sort()].join('; ');
  throw new ScanneryError('SCANNERY_NOT_FOUND', message, { path: directory });
}

function formatOf(names: readonly string[]): Format | undefined {
  return FORMATS.find(({ ratingsFile, moviesFile }) => names.includes(ratingsFile) && names.includes(moviesFile));
}

function filesOf({ ratingsFile, moviesFile }: Format): string {
  return `${ratingsFile} and ${moviesFile}`;
}

async function readRatings(path: string, format: Format, movies: readonly Movie[]): Promise<Rating[]> {
  const byId = new Map(movies.map((movie) => [movie.movieId, movie]));
  const users = new Map<string, string>(); // so that a user's ratings share one string
  const ratings: Rating[] = [];
  await format.ratingRecords(path, (fields, line) => {
    const [user, movieId, rating, timestamp] = fields as [string, string, string, string];
    if (user === '') throw badLine(path, line, 'the user id is empty');
    if (movieId === '') throw badLine(path, line, 'the movie id is empty');
    const movie = byId.get(movieId);
    if (movie === undefined) throw badLine(path, line, `movie ${show(movieId)} is not in ${format.moviesFile}`);
    if (!users.has(user)) users.set(user, user);
    ratings.push({
      userId: users.get(user)!,
      movieId: movie.movieId,
      movieTitle: movie.title,
      rating: numberIn(rating, 'rating', path, line),
      timestamp: numberIn(timestamp, 'timestamp', path, line),
    });
  });
  return ratings;
}

function numberIn(field: string, name: string, path: string, line: number): number {
  const value = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(field) ? Number(field) : Number.NaN;
  if (Number.isFinite(value)) return value;
  throw badLine(path, line, `the ${name} is ${show(field)}, which is not a number`);
}
