import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { loadMovieLens } from '../../../src/recommender/data/movielens.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { failureOf } from '../../support/failures.ts';

const root = temporaryDirectory();
let directories = 0;

/** A directory with these files. */
function directoryOf(files: Record<string, string | Uint8Array>): string {
  const directory = join(root, `set-${directories++}`);
  mkdirSync(directory);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return directory;
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const BOM = '\ufeff';
const RATINGS_HEADER = 'userId,movieId,rating,timestamp';
const MOVIES_HEADER = 'movieId,title,genres';
const DSLABS_HEADER = 'movieId,title,year,genres';

describe('data/movielens', () => {
  it('is read whole', async () => {
    const { ratings, movies, format } = await loadMovieLens(
      fileURLToPath(new URL('../../../data/movielens', import.meta.url)),
    );
    expect(format).toBe('dslabs');
    expect(ratings).toHaveLength(100_004);
    expect(movies).toHaveLength(9066);
    expect(new Set(ratings.map(({ userId }) => userId)).size).toBe(671);
    expect(new Set(ratings.map(({ movieId }) => movieId)).size).toBe(9066);
    expect(movies[0]).toEqual({
      ...{ movieId: '1', title: 'Toy Story (1995)', year: 1995 },
      genres: ['Adventure', 'Animation', 'Children', 'Comedy', 'Fantasy'],
    });
    expect(ratings[0]).toEqual({
      ...{ userId: '1', movieId: '31', movieTitle: 'Dangerous Minds (1995)', rating: 2.5, timestamp: 1260759144 },
    });
    expect(movies.filter(({ year }) => year === undefined).map(({ title }) => title)).toEqual([
      ...['Movie 108548', 'Movie 108583', 'Movie 143410', 'Movie 151307', 'Movie 162376'],
    ]);
    const titles = new Map(movies.map(({ movieId, title }) => [movieId, title]));
    expect(titles.get('73')).toBe('Misérables, Les (1995)');
    expect(titles.get('51372')).toBe('"Great Performances" Cats (1998)');
    expect(ratings.every(({ movieId, movieTitle }) => titles.get(movieId) === movieTitle)).toBe(true);
    const stars = new Set(ratings.map(({ rating }) => rating));
    expect([...stars].sort((a, b) => a - b)).toEqual([0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]);
  });
});

describe('ratings.csv.gz and movies.csv.gz', () => {
  it('put title and year together, and name movies that have none', async () => {
    const directory = directoryOf({
      'movies.csv.gz': gzipSync(
        `"movieId","title","year","genres"\n7,"Misérables, Les",1995,Drama|War\n8,NA,NA,(no genres listed)\n9,Unknown When,NA,Drama\n`,
      ),
      'ratings.csv.gz': gzipSync(`${RATINGS_HEADER}\n1,8,0.5,10\n2,7,5,20`),
    });
    expect(await loadMovieLens(directory)).toEqual({
      format: 'dslabs',
      movies: [
        { movieId: '7', title: 'Misérables, Les (1995)', year: 1995, genres: ['Drama', 'War'] },
        { movieId: '8', title: 'Movie 8', genres: [] },
        { movieId: '9', title: 'Unknown When', genres: ['Drama'] },
      ],
      ratings: [
        { userId: '1', movieId: '8', movieTitle: 'Movie 8', rating: 0.5, timestamp: 10 },
        { userId: '2', movieId: '7', movieTitle: 'Misérables, Les (1995)', rating: 5, timestamp: 20 },
      ],
    });
  });

  const movies = gzipSync(`${DSLABS_HEADER}\n7,Heat,1995,Crime\n`);
  const ratings = gzipSync(`${RATINGS_HEADER}\n${'1,7,5,20\n'.repeat(5000)}`);

  it.each([
    [
      'a cut file',
      { 'movies.csv.gz': movies, 'ratings.csv.gz': ratings.subarray(0, 60) },
      'SCANNERY_TRUNCATED',
      'ratings',
    ],
    [
      'a file that is no gzip',
      { 'movies.csv.gz': latin1('movieId'), 'ratings.csv.gz': ratings },
      'SCANNERY_INVALID_DATA',
      'movies',
    ],
    [
      'a damaged file',
      { 'movies.csv.gz': movies, 'ratings.csv.gz': ratings.map((byte, i) => (i > 20 ? 255 - byte : byte)) },
      ...(['SCANNERY_INVALID_DATA', 'ratings'] as const),
    ],
  ])('fail for %s', async (_, files, code, name) => {
    const directory = directoryOf(files);
    expect(await failureOf(loadMovieLens(directory))).toMatchObject({ code, path: join(directory, `${name}.csv.gz`) });
  });

  it.each(['95', 'about 1995', '', '19950'])('fail for the year %j', async (year) => {
    const movies = gzipSync(`${DSLABS_HEADER}\n7,Heat,1995,Crime\n8,Ronin,${year},Crime\n`);
    const directory = directoryOf({ 'movies.csv.gz': movies, 'ratings.csv.gz': ratings });
    const error = await failureOf(loadMovieLens(directory));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path: join(directory, 'movies.csv.gz'), row: 2 });
    expect(error.message).toContain(`line 3: the year is '${year}'`);
  });
});

describe('ratings.csv and movies.csv', () => {
  const MOVIES = [
    ...[MOVIES_HEADER, '1,Toy Story (1995),Adventure|Animation', '2,"American President, The (1995)",Comedy'],
    ...[
      '3,"The ""Quoted""\nTwo-Liner (2001)",Drama',
      '4,Amélie (2001),(no genres listed)',
      '5,Series (2006–2007),Drama',
    ],
    ...['6,Running (2006– ),Drama', '7,No Year,Drama', '8,Toy Story (1995),Children', '9,2012 (2009) ,Action'],
  ];
  const RATINGS = [RATINGS_HEADER, '1,3,4.0,1000', '2,1,0.5,1001', '1,1,5,999'];
  const expected = {
    format: 'latest',
    movies: [
      { movieId: '1', title: 'Toy Story (1995)', year: 1995, genres: ['Adventure', 'Animation'] },
      { movieId: '2', title: 'American President, The (1995)', year: 1995, genres: ['Comedy'] },
      { movieId: '3', title: 'The "Quoted"\nTwo-Liner (2001)', year: 2001, genres: ['Drama'] },
      { movieId: '4', title: 'Amélie (2001)', year: 2001, genres: [] },
      { movieId: '5', title: 'Series (2006–2007)', year: 2006, genres: ['Drama'] },
      { movieId: '6', title: 'Running (2006– )', year: 2006, genres: ['Drama'] },
      { movieId: '7', title: 'No Year', genres: ['Drama'] },
      { movieId: '8', title: 'Toy Story (1995)', year: 1995, genres: ['Children'] },
      { movieId: '9', title: '2012 (2009) ', year: 2009, genres: ['Action'] },
    ],
    ratings: [
      { userId: '1', movieId: '3', movieTitle: 'The "Quoted"\nTwo-Liner (2001)', rating: 4, timestamp: 1000 },
      { userId: '2', movieId: '1', movieTitle: 'Toy Story (1995)', rating: 0.5, timestamp: 1001 },
      { userId: '1', movieId: '1', movieTitle: 'Toy Story (1995)', rating: 5, timestamp: 999 },
    ],
  };

  it.each([
    ['LF', '\n', '\n', ''],
    ['CRLF', '\r\n', '\r\n', ''],
    ['no final line end', '\n', '', ''],
    ['CRLF and no final line end', '\r\n', '', ''],
    ['a byte order mark', '\n', '\n', BOM],
    ['empty lines', '\n\n', '\n\n\n', ''],
  ])('are read with %s', async (_, end, last, first) => {
    const directory = directoryOf({
      'movies.csv': `${first}${MOVIES.join(end)}${last}`,
      'ratings.csv': `${first}${RATINGS.join(end)}${last}`,
      'README.txt': 'other files do not matter',
    });
    expect(await loadMovieLens(directory)).toEqual(expected);
  });

  it('are read across the pieces of a stream', async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => `${i},${(i % 3) + 1},${(i % 10) / 2},${1e9 + i}`);
    const files = { 'movies.csv': MOVIES.join('\n'), 'ratings.csv': [RATINGS_HEADER, ...lines].join('\r\n') };
    const { ratings } = await loadMovieLens(directoryOf(files));
    expect(ratings).toHaveLength(lines.length);
    const again = ratings.map((r) => `${r.userId},${r.movieId},${r.rating},${r.timestamp}`);
    expect(again).toEqual(lines);
  });

  it('may hold no ratings', async () => {
    const directory = directoryOf({ 'movies.csv': MOVIES_HEADER, 'ratings.csv': `${RATINGS_HEADER}\n` });
    expect(await loadMovieLens(directory)).toEqual({ format: 'latest', movies: [], ratings: [] });
  });

  // Line 2 is good in all of these.
  it.each([
    ['1,1,5', 3, 'the number of fields is 3 where 4 are expected'],
    ['1,1,5,9,9', 3, 'the number of fields is 5 where 4 are expected'],
    ['   ', 3, 'the number of fields is 1 where 4 are expected'],
    ['1,1,five,9', 3, "the rating is 'five', which is not a number"],
    ['1,1,,9', 3, "the rating is '', which is not a number"],
    ['1,1, ,9', 3, "the rating is ' ', which is not a number"],
    ['1,1,0x5,9', 3, "the rating is '0x5', which is not a number"],
    ['1,1,NaN,9', 3, "the rating is 'NaN', which is not a number"],
    ['1,1,Infinity,9', 3, "the rating is 'Infinity', which is not a number"],
    ['1,1,1e999,9', 3, "the rating is '1e999', which is not a number"],
    ['1,1,5,yesterday', 3, "the timestamp is 'yesterday', which is not a number"],
    ['1,1,5,', 3, "the timestamp is '', which is not a number"],
    ['1,99,5,9', 3, "movie '99' is not in movies.csv"],
    [',1,5,9', 3, 'the user id is empty'],
    ['1,,5,9', 3, 'the movie id is empty'],
    ['"1,1,5,9', 3, 'a quote is not closed'],
    ['"1,1,5,9\n1,1,5,9\n1,1,5,9', 3, 'a quote is not closed'],
    ['"1"2,1,5,9', 3, 'a closing quote is followed by more text'],
    ['1"2,1,5,9', 3, 'a quote stands inside a field that does not begin with one'],
    ['1,1,5,9\n1,1,5', 4, 'the number of fields is 3 where 4 are expected'],
    ['\n\n1,1,5', 5, 'the number of fields is 3 where 4 are expected'],
    ['"a\nb",1,5,9\n1,1,5', 5, 'the number of fields is 3 where 4 are expected'],
    ['"a\nb",1,5', 3, 'the number of fields is 3 where 4 are expected'],
    ['"a\r\nb\r\nc",1,5,9\n\n"x', 7, 'a quote is not closed'],
  ])('name the line of a bad rating: %j', async (bad, line, problem) => {
    const content = `${RATINGS_HEADER}\n1,1,5,9\n${bad}`;
    for (const end of ['\n', '\r\n']) {
      const directory = directoryOf({
        'movies.csv': MOVIES.join('\n'),
        'ratings.csv': content.replaceAll(/\r?\n/g, end) + end,
      });
      const path = join(directory, 'ratings.csv');
      const error = await failureOf(loadMovieLens(directory));
      expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: line - 1 });
      expect(error.message).toBe(`${path}, line ${line}: ${problem}`);
    }
  });

  it.each([
    ['1,Heat (1995)', 3, 'the number of fields is 2 where 3 are expected'],
    ['1,American President, The (1995),Comedy', 3, 'the number of fields is 4 where 3 are expected'],
    [',Heat (1995),Crime', 3, 'the movie id is empty'],
    ['1,,Crime', 3, 'the title is empty'],
    ['5,Heat (1995),Crime', 3, "movie '5' is on line 2 already"],
    ['1,"Heat (1995),Crime', 3, 'a quote is not closed'],
  ])('name the line of a bad movie: %j', async (bad, line, problem) => {
    const files = { 'movies.csv': `${MOVIES_HEADER}\n5,Up (2009),\n${bad}\n`, 'ratings.csv': RATINGS_HEADER };
    const path = join(directoryOf(files), 'movies.csv');
    const error = await failureOf(loadMovieLens(join(path, '..')));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: line - 1 });
    expect(error.message).toBe(`${path}, line ${line}: ${problem}`);
  });

  it('must be UTF-8', async () => {
    const movies = latin1(`${MOVIES_HEADER}\n1,Amélie (2001),Comedy\n`);
    const directory = directoryOf({ 'movies.csv': movies, 'ratings.csv': RATINGS_HEADER });
    const error = await failureOf(loadMovieLens(directory));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', row: 1 });
    expect(error.message).toContain('line 2: the title is not valid UTF-8');
  });

  it.each([
    ['', 'there is no header line userId,movieId,rating,timestamp'],
    ['\n\n', 'there is no header line userId,movieId,rating,timestamp'],
    ['1,1,5,9\n', 'the columns are 1,1,5,9 where userId,movieId,rating,timestamp are expected'],
    [
      `${RATINGS_HEADER},tag\n`,
      `the columns are ${RATINGS_HEADER},tag where userId,movieId,rating,timestamp are expected`,
    ],
  ])('need their header line: %j', async (ratings, problem) => {
    const directory = directoryOf({ 'movies.csv': MOVIES.join('\n'), 'ratings.csv': ratings });
    const path = join(directory, 'ratings.csv');
    const error = await failureOf(loadMovieLens(directory));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: 0 });
    expect(error.message).toBe(`${path}, line 1: ${problem}`);
  });

  it('do not take in a whole file after a quote that is never closed', async () => {
    const ratings = `${RATINGS_HEADER}\n1,1,5,9\n"${'1,1,5,9\n'.repeat(300_000)}`;
    const error = await failureOf(
      loadMovieLens(directoryOf({ 'movies.csv': MOVIES.join('\n'), 'ratings.csv': ratings })),
    );
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', row: 2 });
    expect(error.message).toMatch(/line 3: the record is longer than 1048576 characters; a quote may not be closed$/);
  });
});

describe('ratings.dat and movies.dat', () => {
  const movies =
    '1::Toy Story (1995)::Animation|Children\'s\n2::Léon (1994)::Crime\n3::"Quotes", Plain (1999)::Drama\n';
  const ratings = '1::2::5::978300760\n6040::1::3.5::956704887\n';
  const expected = {
    format: 'ml-1m',
    movies: [
      { movieId: '1', title: 'Toy Story (1995)', year: 1995, genres: ['Animation', "Children's"] },
      { movieId: '2', title: 'Léon (1994)', year: 1994, genres: ['Crime'] },
      { movieId: '3', title: '"Quotes", Plain (1999)', year: 1999, genres: ['Drama'] },
    ],
    ratings: [
      { userId: '1', movieId: '2', movieTitle: 'Léon (1994)', rating: 5, timestamp: 978300760 },
      { userId: '6040', movieId: '1', movieTitle: 'Toy Story (1995)', rating: 3.5, timestamp: 956704887 },
    ],
  };

  it.each([
    ['Latin-1', latin1(movies), ratings],
    ['UTF-8', Buffer.from(movies), ratings],
    ['UTF-8 with a byte order mark', Buffer.from(BOM + movies), BOM + ratings],
    ['CRLF', latin1(movies.replaceAll('\n', '\r\n')), ratings.replaceAll('\n', '\r\n')],
    ['no final line end', latin1(movies.slice(0, -1)), ratings.slice(0, -1)],
    ['empty lines', latin1(`${movies}\n\n`), ratings.replaceAll('\n', '\n\n')],
  ])('are read in %s', async (_, moviesFile, ratingsFile) => {
    expect(await loadMovieLens(directoryOf({ 'movies.dat': moviesFile, 'ratings.dat': ratingsFile }))).toEqual(
      expected,
    );
  });

  it('are read across the pieces of a stream', async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => `${i}::${(i % 3) + 1}::${(i % 10) / 2}::${1e9 + i}`);
    const files = { 'movies.dat': latin1(movies), 'ratings.dat': lines.join('\r\n') };
    const loaded = await loadMovieLens(directoryOf(files));
    expect(loaded.ratings.map((r) => `${r.userId}::${r.movieId}::${r.rating}::${r.timestamp}`)).toEqual(lines);
  });

  it.each([
    ['ratings.dat', '1::2::5', 2, 'the number of fields is 3 where 4 are expected'],
    ['ratings.dat', '1::2::5::9::', 2, 'the number of fields is 5 where 4 are expected'],
    ['ratings.dat', '\n\n1,2,5,9', 4, 'the number of fields is 1 where 4 are expected'],
    ['ratings.dat', '1::9::5::9', 2, "movie '9' is not in movies.dat"],
    ['ratings.dat', '::1::5::9', 2, 'the user id is empty'],
    ['ratings.dat', '1::::5::9', 2, 'the movie id is empty'],
    ['ratings.dat', '1::1::*::9', 2, "the rating is '*', which is not a number"],
    ['ratings.dat', '1::1::5::*', 2, "the timestamp is '*', which is not a number"],
    ['ratings.dat', 'x'.repeat(1_100_000), 2, 'the line is longer than 1048576 characters'],
    ['movies.dat', '2::Heat (1995)', 2, 'the number of fields is 2 where 3 are expected'],
    ['movies.dat', '::Heat (1995)::Crime', 2, 'the movie id is empty'],
    ['movies.dat', '2::::Crime', 2, 'the title is empty'],
    ['movies.dat', '1::Heat (1995)::Crime', 2, "movie '1' is on line 1 already"],
  ])('name the line that is wrong, in %s: %j', async (name, bad, line, problem) => {
    const files: Record<string, string> = { 'movies.dat': '1::Up (2009)::Drama\n', 'ratings.dat': '1::1::5::9\n' };
    files[name] += bad;
    const path = join(directoryOf(files), name);
    const error = await failureOf(loadMovieLens(join(path, '..')));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: line - 1 });
    expect(error.message).toBe(`${path}, line ${line}: ${problem}`);
  });
});

describe('u.data and u.item', () => {
  const flags = (...on: number[]): string => Array.from({ length: 19 }, (_, i) => (on.includes(i) ? 1 : 0)).join('|');
  const items = [
    `1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|${flags(3, 4, 5)}`,
    `267|unknown||||${flags(0)}`,
    `543|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/|${flags(8, 12, 18)}`,
  ];
  const ratings = ['196\t543\t3\t881250949', '186\t267\t3\t891717742', '196\t1\t5\t881250950'];

  it.each([
    ['\n', '\n'],
    ['\r\n', '\r\n'],
    ['\n', ''],
    ['\n', '\n\n'],
  ])('are read in Latin-1, with line ends %j and %j at the end', async (end, last) => {
    const directory = directoryOf({ 'u.item': latin1(items.join(end) + last), 'u.data': ratings.join(end) + last });
    expect(await loadMovieLens(directory)).toEqual({
      format: 'ml-100k',
      movies: [
        { movieId: '1', title: 'Toy Story (1995)', year: 1995, genres: ['Animation', "Children's", 'Comedy'] },
        { movieId: '267', title: 'unknown', genres: ['unknown'] },
        { movieId: '543', title: 'Misérables, Les (1995)', year: 1995, genres: ['Drama', 'Musical', 'Western'] },
      ],
      ratings: [
        { userId: '196', movieId: '543', movieTitle: 'Misérables, Les (1995)', rating: 3, timestamp: 881250949 },
        { userId: '186', movieId: '267', movieTitle: 'unknown', rating: 3, timestamp: 891717742 },
        { userId: '196', movieId: '1', movieTitle: 'Toy Story (1995)', rating: 5, timestamp: 881250950 },
      ],
    });
  });

  it('name every genre as the data set does', async () => {
    const all = Array.from({ length: 19 }, (_, i) => i);
    const { movies } = await loadMovieLens(directoryOf({ 'u.item': `1|All||||${flags(...all)}`, 'u.data': '' }));
    expect(movies[0]!.genres.join(' ')).toBe(
      "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy " +
        'Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western',
    );
  });

  it.each([
    ['u.data', '196\t1\t3', 'the number of fields is 3 where 4 are expected'],
    ['u.data', '196 1 3 881250949', 'the number of fields is 1 where 4 are expected'],
    ['u.data', '196\t2\t3\t881250949', "movie '2' is not in u.item"],
    ['u.item', `2|Heat (1995)|||${flags()}`, 'the number of fields is 23 where 24 are expected'],
    ['u.item', `2|Heat (1995)||||${flags()}|0`, 'the number of fields is 25 where 24 are expected'],
    ['u.item', `2|Heat (1995)||||${flags().replace(/^0/, '2')}`, "the flag of genre unknown is '2', neither 0 nor 1"],
    ['u.item', `2|Heat (1995)||||${flags().replace(/0$/, '')}`, "the flag of genre Western is '', neither 0 nor 1"],
    ['u.item', `1|Heat (1995)||||${flags()}`, "movie '1' is on line 1 already"],
  ])('name the line that is wrong, in %s: %j', async (name, bad, problem) => {
    const files: Record<string, string> = { 'u.item': `${items[0]}\n`, 'u.data': `${ratings[2]}\n` };
    files[name] += bad;
    const path = join(directoryOf(files), name);
    const error = await failureOf(loadMovieLens(join(path, '..')));
    expect(error).toMatchObject({ code: 'SCANNERY_INVALID_DATA', path, row: 1 });
    expect(error.message).toBe(`${path}, line 2: ${problem}`);
  });
});

describe('a directory', () => {
  const SETS =
    'ratings.csv.gz and movies.csv.gz, ratings.csv and movies.csv, ratings.dat and movies.dat, u.data and u.item';

  it.each([[{}], [{ 'ratings.csv': '', 'movies.dat': '', 'u.item': '' }]])(
    'without the files fails, naming all that was looked for: %j',
    async (files) => {
      const directory = directoryOf(files);
      const error = await failureOf(loadMovieLens(directory));
      expect(error).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: directory });
      expect(error.message).toBe(`${directory} holds none of these: ${SETS}`);
    },
  );

  it('whose folder has the files fails, naming it', async () => {
    const directory = directoryOf({ 'a-file': '' });
    for (const name of ['ml-100k', 'empty']) mkdirSync(join(directory, name));
    for (const name of ['u.data', 'u.item']) writeFileSync(join(directory, 'ml-100k', name), '');
    const error = await failureOf(loadMovieLens(directory));
    expect(error).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: directory });
    const inside = `its folder ${join(directory, 'ml-100k')} holds u.data and u.item`;
    expect(error.message).toBe(`${directory} holds none of these: ${SETS}; ${inside}`);
    expect((await loadMovieLens(join(directory, 'ml-100k'))).format).toBe('ml-100k');
  });

  it('that does not exist, or is a file, fails', async () => {
    const path = join(directoryOf({ 'a-file': '' }), 'a-file');
    for (const wrong of [path, `${path}-or-not`]) {
      expect(await failureOf(loadMovieLens(wrong))).toMatchObject({ code: 'SCANNERY_NOT_FOUND', path: wrong });
    }
  });

  it.each([5, '', undefined])('must be a path, not %j', async (directory) => {
    const expected = { code: 'SCANNERY_INVALID_OPTION', option: 'directory', value: directory };
    expect(await failureOf(loadMovieLens(directory as string))).toMatchObject(expected);
  });

  it('whose files cannot be read fails with the cause', async () => {
    const directory = directoryOf({ 'ratings.dat': '' });
    mkdirSync(join(directory, 'movies.dat'));
    const error = await failureOf(loadMovieLens(directory));
    expect(error).toMatchObject({
      code: 'SCANNERY_IO',
      path: join(directory, 'movies.dat'),
      cause: { code: 'EISDIR' },
    });
  });
});
