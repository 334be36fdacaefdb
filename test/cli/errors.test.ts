import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EXIT, fileWork, tell, UsageError } from '../../src/cli/errors.ts';
import { ERROR_CODES, type ErrorCode, ScanneryError } from '../../src/index.ts';
import { failureOf } from '../support/failures.ts';

const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

describe('exit codes', () => {
  const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| +(\d+) \| .*$/gm)];

  it('are those that docs/cli.md lists', () => {
    expect(rows.map(([, code]) => Number(code)).sort((a, b) => a - b)).toEqual(
      Object.values(EXIT).sort((a, b) => a - b),
    );
  });

  it.each(CODES)('%s has the one under which docs/cli.md names it, or 1', (code) => {
    const row = rows.find(([text]) => text.includes(`\`${code}\``));
    expect(tell(new ScanneryError(code, 'x')).exitCode).toBe(Number(row?.[1] ?? 1));
  });

  it('of other errors are 2 and 1', () => {
    expect(tell(new UsageError('x'))).toEqual({ exitCode: 2, code: 'USAGE', message: 'x' });
    expect(tell(new TypeError('x\n  y'))).toMatchObject({ exitCode: 1, code: 'UNEXPECTED' });
    expect(tell('thrown').message).toContain('thrown');
  });
});

describe('messages', () => {
  it.each(CODES)('of %s have one line', (code) => {
    expect(tell(new ScanneryError(code, 'one:\n two\nthree')).message).not.toContain('\n');
  });

  it('name options as they are written', () => {
    const message = (option: string): string =>
      tell(new ScanneryError('SCANNERY_INVALID_OPTION', `${option} must be 1`, { option })).message;
    expect(message('tree.numLeaves')).toBe('--num-leaves must be 1');
    expect(message('numLeavesToSearch')).toBe('--leaves must be 1');
    expect(message('numReorderingCandidates')).toBe('--candidates must be 1');
    expect(message('defaults.k')).toBe('--k must be 1');
    expect(message('filter.allow.color')).toBe('--filter.allow.color must be 1');
  });

  it('say what to run where packages are missing', () => {
    const error = new ScanneryError('SCANNERY_MISSING_PACKAGE', 'npm install fastify');
    expect(tell(error)).toMatchObject({ exitCode: 2, message: 'packages are missing; run: npm install fastify' });
  });

  it('name commands instead of functions', () => {
    const damaged = 'log is damaged: the 3 bytes from byte 7 on differ; Index.repair keeps what is before';
    expect(tell(new ScanneryError('SCANNERY_CHECKSUM', damaged)).message).toMatch(
      /`scannery repair` keeps what is before$/,
    );
    const locked = 'd is open for writing in process 7; open it with readOnly, or close it there';
    expect(tell(new ScanneryError('SCANNERY_LOCKED', locked)).message).toBe(
      'd is open for writing in process 7; stop it, and try again',
    );
    const none = new ScanneryError('SCANNERY_NOT_FOUND', 'd holds no saved index', { path: 'd' });
    expect(tell(none).message).toContain('`scannery build INPUT --output d` makes one');
  });
});

it('turns errors of the operating system into ours', async () => {
  const fails = (code: string) =>
    failureOf(fileWork('f', () => Promise.reject(Object.assign(new Error(code), { code, errno: -1 }))));
  expect(tell(await fails('ENOENT'))).toMatchObject({ exitCode: 6, message: 'f does not exist' });
  expect(tell(await fails('ENOSPC'))).toMatchObject({ exitCode: 7, message: 'f: ENOSPC' });
  expect(tell(await fails('EACCES'))).toMatchObject({ exitCode: 7, path: 'f' });
  await expect(fileWork('f', () => Promise.reject(new TypeError('a mistake')))).rejects.toThrow(TypeError);
});
