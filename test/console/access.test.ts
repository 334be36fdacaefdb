import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Index } from '../../src/index.ts';
import type { ScanneryServer } from '../../src/server/index.ts';
import {
  buildConsole,
  type Console,
  chromiumPath,
  type Look,
  launch,
  openConsole,
  serve,
  smallIndex,
} from '../support/console-browser.ts';

const path = chromiumPath();
const TOKEN = 'a token of the test'.replaceAll(' ', '-');
const pictures =
  process.env.SCANNERY_SCREENSHOTS ?? fileURLToPath(new URL('../../.cache/screenshots/', import.meta.url));

// browser.test.ts says so where there is none.
describe.skipIf(path === undefined)('the console for everyone', () => {
  let browser: Browser;
  let index: Index;
  let built: Awaited<ReturnType<typeof buildConsole>>;
  let server: ScanneryServer;
  let guarded: ScanneryServer;
  let open: Console;

  beforeAll(async () => {
    [browser, index, built] = await Promise.all([launch(path!), smallIndex(), buildConsole()]);
    server = await serve(index, built.directory, { recallSampling: 1 });
    guarded = await serve(index, built.directory, {
      tokens: [{ name: 'test', token: TOKEN, scopes: ['read', 'write'] }],
    });
    mkdirSync(pictures, { recursive: true });
  });
  afterAll(async () => {
    await browser?.close();
    for (const one of [server, guarded]) await one?.close();
    await index?.close();
    built?.remove();
  });
  afterEach(async () => {
    await open?.context.close();
  });

  const focused = (page: Page): Promise<string> =>
    page.evaluate(`(() => {
      const { activeElement: at } = document;
      if (at === null || at === document.body) return 'nothing';
      return at.id || at.getAttribute('aria-label') || at.textContent.trim();
    })()`);

  it('asks for a token, keeps it in the tab, and forgets it', async () => {
    open = await openConsole(browser, guarded.url!);
    const { page } = open;
    const field = page.getByLabel('This server asks for a token');
    await field.waitFor();
    expect(await focused(page)).toBe('token');
    await field.fill('not the one that it is');
    await page.keyboard.press('Enter');
    await page.getByText('does not know this token').waitFor();
    await page.getByLabel('This server asks for a token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.getByLabel('The index').waitFor();
    expect(await field.count()).toBe(0);
    await page.reload();
    await page.getByLabel('The index').waitFor();
    expect(await page.evaluate('JSON.stringify(localStorage)')).not.toContain(TOKEN);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('This server asks for a token').waitFor();
    expect(open.complaints.filter((text) => !/status of 401|status of 404.* \/v1\/frontier$/.test(text))).toEqual([]);
  });

  it('is usable by keyboard alone', async () => {
    await server.app.inject({ method: 'POST', url: '/v1/frontier', payload: { targetRecall: 0.9 } });
    open = await openConsole(browser, server.url!);
    const { page } = open;
    await page.getByLabel('The index').waitFor();
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Skip to the search');
    expect((await page.getByText('Skip to the search').boundingBox())!.y).toBeGreaterThanOrEqual(0);
    await page.keyboard.press('Enter');
    expect(await focused(page)).toBe('search');
    // To the way of searching, and on to the id.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('query-id');
    await page.keyboard.type('title 30');
    await page.keyboard.press('Enter');
    await page.getByText('10 results in').waitFor();

    // Round the whole page: everything in reach shows that it has the focus, and nothing keeps it.
    const passed: string[] = [];
    for (let i = 0; i < 150; i++) {
      await page.keyboard.press('Tab');
      const name = await focused(page);
      if (name === 'query-id') break;
      passed.push(name);
      if (name === 'nothing') continue;
      const isSeen = await page.evaluate(`(() => {
        // Points of a drawing have a ring instead of an outline.
        const ring = document.activeElement.querySelector('.target');
        if (ring !== null) return getComputedStyle(ring).stroke !== 'none';
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return outlineStyle !== 'none' && outlineWidth !== '0px';
      })()`);
      expect(isSeen, name).toBe(true);
    }
    expect(passed.length).toBeLessThan(150);
    const reached = ['id-kind', 'k', 'numLeavesToSearch', 'numReorderingCandidates', 'filter', 'Search', 'Results'];
    expect(passed).toEqual(expect.arrayContaining([...reached, 'Refresh', 'target', 'tune-k', 'Dark']));
    expect(passed.filter((name) => /^\d+$|^title \d+$/.test(name))).toHaveLength(10);
    const points = passed.filter((name) => /leaves, .* candidates: recall/.test(name));
    expect(points).toHaveLength(await page.locator('#frontier g[role=button]').count());
    expect(points.length).toBeGreaterThan(0);
  });

  it('has the colours of the system until others are chosen', async () => {
    open = await openConsole(browser, server.url!, { theme: 'dark' });
    const { page } = open;
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const toggle = page.getByRole('button', { name: 'Dark' });
    await toggle.waitFor();
    const dark = await background();
    expect(await toggle.getAttribute('aria-pressed')).toBe('true');
    await toggle.click();
    const light = await background();
    expect(light).not.toBe(dark);
    expect(await toggle.getAttribute('aria-pressed')).toBe('false');
    await page.reload();
    await toggle.waitFor();
    expect(await background()).toBe(light);
  });

  it.each<Required<Look>>([
    { width: 1280, theme: 'light' },
    { width: 1280, theme: 'dark' },
    { width: 390, theme: 'light' },
    { width: 390, theme: 'dark' },
  ])('passes WCAG AA and fits at $width, $theme', async ({ width, theme }) => {
    const picture = (name: string) => ({ path: join(pictures, `${name}-${width}-${theme}.png`), fullPage: true });
    open = await openConsole(browser, guarded.url!, { width, theme });
    await open.page.getByLabel('This server asks for a token').waitFor();
    await check(open.page, width);
    await open.page.screenshot(picture('sign-in'));
    await open.context.close();

    open = await openConsole(browser, server.url!, { width, theme });
    const { page } = open;
    await page.getByLabel('The index').waitFor();
    await page.getByLabel('Id', { exact: true }).fill('nobody');
    await page.getByLabel('Filter').fill('{"allow": {"genre": ["war"]');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByRole('alert').first().waitFor();
    await check(page, width);
    await page.screenshot(picture('error'));

    await page.getByLabel('Id', { exact: true }).fill('title 30');
    await page.getByLabel('Filter').fill('{"allow": {"genre": ["war"]}}');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('10 results in').waitFor();
    await page.getByRole('button', { name: /^Tune/ }).click();
    await page.locator('#frontier g[role=button]').first().waitFor({ timeout: 60_000 });
    for (const name of ['Times as a table', 'Leaves visited, best first', 'Sizes as a table', 'Settings as a table']) {
      await page.getByText(name).click();
    }
    await page.locator('#frontier g[role=button]').first().focus();
    await check(page, width);
    await page.screenshot(picture('console'));
  });

  async function check(page: Page, width: number): Promise<void> {
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    // The page's policy refuses scripts that others add, but not what the browser is told to evaluate.
    await page.evaluate(axe.source);
    const found: { violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] } =
      await page.evaluate(`axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })`);
    const violations = found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html} ${nodes[0]!.failureSummary}`);
    expect(violations).toEqual([]);
  }
});
