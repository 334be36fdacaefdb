import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { Index } from '../../src/index.ts';
import { makeApp } from '../../src/server/app.ts';
import { resolveServerOptions, type ServerOptions } from '../../src/server/options.ts';
import { ScanneryServer } from '../../src/server/server.ts';
import { clustered } from './vectors.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Where the browser is: SCANNERY_CHROMIUM, or what there is in PATH; undefined if there is none. */
export function chromiumPath(): string | undefined {
  const given = process.env.SCANNERY_CHROMIUM;
  if (given !== undefined) return given;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.flatMap((folder) => [join(folder, 'chromium'), join(folder, 'chromium-browser')]).find(existsSync);
}

export function launch(executablePath: string): Promise<Browser> {
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath, args: isRoot ? ['--no-sandbox'] : [] });
}

/** A console of its own: other tests make dist anew meanwhile. */
export async function buildConsole(): Promise<{ directory: string; remove: () => void }> {
  const directory = mkdtempSync(join(tmpdir(), 'scannery-console-'));
  const vite = join(root, 'node_modules/vite/bin/vite.js');
  const flags = ['--config', 'vite.config.ts', '--configLoader', 'runner', '--logLevel', 'warn', '--outDir', directory];
  // Vite takes NODE_ENV=test, which the test runner sets, for a build that is to be debugged.
  const env = { ...process.env, NODE_ENV: 'production' };
  await promisify(execFile)(process.execPath, [vite, 'build', ...flags], { cwd: root, env });
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

export const DIMENSIONS = 16;
export const COUNT = 3000;
const GENRES = ['drama', 'comedy', 'crime', 'war'];
export const { vectors: VECTORS } = clustered(COUNT, DIMENSIONS, 3);

/** An index whose ids are integers and, every third, titles; every vector has attributes. */
export function smallIndex(): Promise<Index> {
  const ids = Array.from({ length: COUNT }, (_, i) => (i % 3 === 0 ? `title ${i}` : i));
  const attributes = ids.map((_, i) => ({ genre: [GENRES[i % 4]!, GENRES[(i + 1) % 4]!], year: 1950 + (i % 70) }));
  const options = { dimensions: DIMENSIONS, metric: 'cosine', threads: 2, shards: 2 } as const;
  return Index.build(
    { vectors: VECTORS, ids, attributes },
    { ...options, tree: { numLeaves: 40, trainingIterations: 4 }, hashing: { trainingIterations: 4 } },
  );
}

/** A server on a free port, with the console of a folder. */
export async function serve(
  index: Index,
  consoleDirectory: string,
  given: ServerOptions = {},
): Promise<ScanneryServer> {
  const options = resolveServerOptions({ port: 0, ...given });
  const { app, context } = await makeApp(index, options, consoleDirectory);
  const server = new ScanneryServer(app, context, options);
  await server.listen();
  return server;
}

export interface Look {
  readonly width?: number;
  readonly theme?: 'light' | 'dark';
}

/** A page of the console, and what its browser complained about. */
export interface Console {
  readonly page: Page;
  readonly complaints: string[];
  readonly context: BrowserContext;
}

export async function openConsole(browser: Browser, url: string, look: Look = {}): Promise<Console> {
  const { width = 1280, theme = 'light' } = look;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') {
      complaints.push(`${message.text()} ${new URL(message.location().url || url).pathname}`);
    }
  });
  await page.goto(`${url}/console`);
  return { page, complaints, context };
}
