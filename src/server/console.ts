import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { notFound } from './errors.ts';

const PAGE = 'index.html';
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};
/** The page asks each time whether it is as it was; what it names has its hash in its name. */
const FRESH = 'no-cache';
const FOREVER = 'public, max-age=31536000, immutable';

interface BuiltFile {
  /** From the console's folder, with '/' between its parts. */
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

/** Where the build leaves the console, as seen from this file's place in the package or in the source. */
const built = (): string =>
  fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../dist/console/' : '../console/', import.meta.url));

/**
 * The console: GET /console and the files that it names. They are read now, and there is a route for each of them, so no path of a
 * request leads to a file. They hold no data and are open to everyone; the page asks for a token when the API does.
 */
export async function consoleRoutes(app: FastifyInstance, directory: string = built()): Promise<void> {
  const files = await filesOf(directory);
  const options = { config: { scope: 'open' }, schema: { hide: true } } as const;
  for (const { path, type, body, etag } of files) {
    const cacheControl = path.startsWith('assets/') ? FOREVER : FRESH;
    const urls = path === PAGE ? ['/console', '/console/'] : [`/console/${path}`];
    for (const url of urls) {
      app.get(url, options, (request, reply) => {
        reply.headers({ etag, 'cache-control': cacheControl });
        if (request.headers['if-none-match'] === etag) return reply.code(304).send();
        return reply.type(type).send(body);
      });
    }
  }
  if (files.some(({ path }) => path === PAGE)) return;
  app.get('/console', options, () => {
    throw notFound('console: it was not built; `npm run console` builds it');
  });
}

/** The files of the known types in a folder and those below it; none if there is no such folder. */
async function filesOf(directory: string): Promise<BuiltFile[]> {
  const paths = await readdir(directory, { recursive: true }).catch((error) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return Promise.all(
    paths.flatMap((path) => {
      const type = TYPES[extname(path)];
      return type === undefined ? [] : [readBuilt(directory, path.split(sep).join('/'), type)];
    }),
  );
}

async function readBuilt(directory: string, path: string, type: string): Promise<BuiltFile> {
  const body = await readFile(join(directory, path));
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { path, type, body, etag };
}
