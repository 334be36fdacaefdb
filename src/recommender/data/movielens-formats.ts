import { badLine, type OnRecord, readCsv, readSeparated, readSmallSeparated } from './data-files.ts';
import type { Movie, MovieLens } from './movielens.ts';

/** Makes an error about the line that is being read. */
type Problem = (problem: string) => Error;
type ReadRecords = (path: string, onRecord: OnRecord) => Promise<void>;

/** One layout of the data set; the fields of its ratings are always user, movie, rating and timestamp. */
export interface Format {
  readonly name: MovieLens['format'];
  readonly ratingsFile: string;
  readonly moviesFile: string;
  readonly ratingRecords: ReadRecords;
  readonly movieRecords: ReadRecords;
  readonly movie: (fields: readonly string[], problem: Problem) => Movie;
}

const RATING_COLUMNS = ['userId', 'movieId', 'rating', 'timestamp'];
const NO_GENRES = '(no genres listed)';
const FLAGGED_GENRES = [
  ...[
    'unknown',
    'Action',
    'Adventure',
    'Animation',
    "Children's",
    'Comedy',
    'Crime',
    'Documentary',
    'Drama',
    'Fantasy',
  ],
  ...['Film-Noir', 'Horror', 'Musical', 'Mystery', 'Romance', 'Sci-Fi', 'Thriller', 'War', 'Western'],
];
const FLAGS_AT = 5; // after id, title, release date, video release date and URL

const csv =
  (columns: readonly string[]): ReadRecords =>
  (path, onRecord) =>
    readCsv(path, columns, onRecord);

/** In the order in which they are looked for. */
export const FORMATS: readonly Format[] = [
  {
    name: 'dslabs',
    ratingsFile: 'ratings.csv.gz',
    moviesFile: 'movies.csv.gz',
    ratingRecords: csv(RATING_COLUMNS),
    movieRecords: csv(['movieId', 'title', 'year', 'genres']),
    movie: dslabsMovie,
  },
  {
    name: 'latest',
    ratingsFile: 'ratings.csv',
    moviesFile: 'movies.csv',
    ratingRecords: csv(RATING_COLUMNS),
    movieRecords: csv(['movieId', 'title', 'genres']),
    movie: titledMovie,
  },
  {
    name: 'ml-1m',
    ratingsFile: 'ratings.dat',
    moviesFile: 'movies.dat',
    ratingRecords: (path, onRecord) => readSeparated(path, '::', 4, onRecord),
    movieRecords: (path, onRecord) => readSmallSeparated(path, '::', 3, onRecord),
    movie: titledMovie,
  },
  {
    name: 'ml-100k',
    ratingsFile: 'u.data',
    moviesFile: 'u.item',
    ratingRecords: (path, onRecord) => readSeparated(path, '\t', 4, onRecord),
    movieRecords: (path, onRecord) => readSmallSeparated(path, '|', FLAGS_AT + FLAGGED_GENRES.length, onRecord),
    movie: flaggedMovie,
  },
];

/** Reads the movies of a format, in file order. */
export async function readMovies(path: string, format: Format): Promise<Movie[]> {
  const movies: Movie[] = [];
  const lines = new Map<string, number>();
  await format.movieRecords(path, (fields, line) => {
    const problem: Problem = (text) => badLine(path, line, text);
    const movie = format.movie(fields, problem);
    if (movie.movieId === '') throw problem('the movie id is empty');
    if (movie.title === '') throw problem('the title is empty');
    // What a decoder puts for bytes that are not UTF-8.
    if (movie.title.includes('\ufffd')) throw problem('the title is not valid UTF-8');
    const earlier = lines.get(movie.movieId);
    if (earlier !== undefined) throw problem(`movie '${movie.movieId}' is on line ${earlier} already`);
    lines.set(movie.movieId, line);
    movies.push(movie);
  });
  return movies;
}

/** movieId, title, year, genres; title and year are apart, and `NA` where unknown. */
function dslabsMovie(fields: readonly string[], problem: Problem): Movie {
  const [movieId, title, year, genres] = fields as [string, string, string, string];
  if (year === 'NA') {
    return { movieId, title: title === 'NA' ? `Movie ${movieId}` : title, genres: genreList(genres) };
  }
  if (!/^\d{4}$/.test(year)) throw problem(`the year is '${year}', neither four digits nor NA`);
  return { movieId, title: title === '' ? '' : `${title} (${year})`, year: Number(year), genres: genreList(genres) };
}

/** movieId, title with the year, genres. */
function titledMovie(fields: readonly string[]): Movie {
  const [movieId, title, genres] = fields as [string, string, string];
  return { movieId, title, ...yearIn(title), genres: genreList(genres) };
}

/** movieId, title with the year, two dates, a URL, and a flag per genre. */
function flaggedMovie(fields: readonly string[], problem: Problem): Movie {
  const [movieId, title] = fields as [string, string];
  const flags = fields.slice(FLAGS_AT);
  const wrong = flags.findIndex((flag) => flag !== '0' && flag !== '1');
  if (wrong >= 0) throw problem(`the flag of genre ${FLAGGED_GENRES[wrong]} is '${flags[wrong]}', neither 0 nor 1`);
  return { movieId, title, ...yearIn(title), genres: FLAGGED_GENRES.filter((_, i) => flags[i] === '1') };
}

/** The year at the end of a title, as in `Toy Story (1995)`; of a series' `(2006–2007)` or `(2006– )` the first. */
function yearIn(title: string): { year?: number } {
  const year = /\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\s*\)\s*$/.exec(title)?.[1];
  return year === undefined ? {} : { year: Number(year) };
}

function genreList(genres: string): string[] {
  return genres === NO_GENRES ? [] : genres.split('|').filter((genre) => genre !== '');
}
