import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Index } from '../../src/index.ts';
import type { ScanneryServer } from '../../src/server/index.ts';
import {
  buildConsole,
  type Console,
  chromiumPath,
  DIMENSIONS,
  launch,
  openConsole,
  serve,
  smallIndex,
  VECTORS,
} from '../support/console-browser.ts';

const path = chromiumPath();
const isRequired = process.env.SCANNERY_REQUIRE_BROWSER === '1';

it('has a browser to be tried in', ({ skip }) => {
  const missing = 'no chromium in PATH; install it, or set SCANNERY_CHROMIUM to where it is';
  if (path === undefined && !isRequired) skip(missing);
  expect(path, missing).toBeDefined();
});

/** Vectors are as their ids are numbered. */
const vectorOf = (row: number): number[] => Array.from(VECTORS.subarray(row * DIMENSIONS, (row + 1) * DIMENSIONS));

describe.skipIf(path === undefined)('the console in a browser', () => {
  let browser: Browser;
  let index: Index;
  let built: Awaited<ReturnType<typeof buildConsole>>;
  let server: ScanneryServer;
  let open: Console | undefined;

  beforeAll(async () => {
    [browser, index, built] = await Promise.all([launch(path!), smallIndex(), buildConsole()]);
    server = await serve(index, built.directory, { recallSampling: 1 });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await index?.close();
    built?.remove();
  });
  afterEach(async () => {
    const complaints = open?.complaints ?? [];
    await open?.context.close();
    open = undefined;
    // The browser tells of every answer that is an error; there is no frontier before the index is tuned.
    const expected = /^Failed to load resource: .*(401|404|400).* \/v1\//;
    expect(complaints.filter((text) => !expected.test(text))).toEqual([]);
  });

  /** A page that knows the index. */
  async function page(): Promise<Page> {
    open = await openConsole(browser, server.url!);
    await open.page.getByLabel('The index').waitFor();
    return open.page;
  }
  const submit = (shown: Page) => shown.getByRole('button', { name: 'Search', exact: true }).click();
  const idsOf = (shown: Page) => shown.locator('.results tbody a').allTextContents();

  it('searches by an id, whose results are links that search on', async () => {
    const shown = await page();
    await shown.getByLabel('Id', { exact: true }).fill('title 30');
    await submit(shown);
    await shown.getByText('10 results in').waitFor();
    const { ids } = await index.search(vectorOf(30), { k: 10, excludeIds: ['title 30'] });
    expect(await idsOf(shown)).toEqual(ids.map(String));
    const integer = ids.find((id) => typeof id === 'number')!;
    await shown.getByRole('link', { name: String(integer), exact: true }).click();
    const next = await index.search(vectorOf(integer), { k: 10, excludeIds: [integer] });
    await expect.poll(() => idsOf(shown)).toEqual(next.ids.map(String));
    expect(await shown.getByLabel('Id', { exact: true }).inputValue()).toBe(String(integer));
    expect(await shown.getByLabel('Kind of id').inputValue()).toBe('integer');
    await shown.goBack();
    expect(shown.url()).not.toContain('#id');
  });

  it('takes a text for the integer that it writes, and for a text if there is none', async () => {
    const shown = await page();
    await shown.getByLabel('Id', { exact: true }).fill('31');
    await submit(shown);
    await shown.getByText('10 results in').waitFor();
    await shown.getByLabel('Id', { exact: true }).fill('30');
    await submit(shown);
    // 30 is neither an integer nor a text of this index: the last answer is told.
    await shown.getByText('there is no vector of the id 30').waitFor();
    expect(await shown.locator('.results').count()).toBe(0);
  });

  it('searches by a pasted vector, and counts its numbers while it is typed', async () => {
    const shown = await page();
    await shown.getByLabel('Vector', { exact: true }).check();
    const field = shown.getByRole('textbox', { name: 'Vector' });
    await field.fill('0.5, 1 2');
    await shown.getByText(`3 of ${DIMENSIONS} numbers`).waitFor();
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    await submit(shown);
    await shown.getByRole('alert').getByText(`3 of ${DIMENSIONS} numbers`).waitFor();
    await field.fill(JSON.stringify(vectorOf(7)));
    await shown.getByText(`${DIMENSIONS} of ${DIMENSIONS} numbers`).waitFor();
    await shown.getByLabel('k', { exact: true }).fill('3');
    await submit(shown);
    await shown.getByText('3 results in').waitFor();
    expect((await idsOf(shown))[0]).toBe('7');
    expect(await shown.locator('.results tbody tr').first().textContent()).toContain('1.0000');
  });

  it('filters, and says what is wrong with a filter while it is typed', async () => {
    const shown = await page();
    await shown.getByLabel('Id', { exact: true }).fill('title 30');
    const filter = shown.getByLabel('Filter');
    await filter.fill('{"alow": {}}');
    await shown.getByText("without 'alow'").waitFor();
    await filter.fill('{"allow": {"genre": ["war"]}, "range": {"year": {"lt": 1960}}}');
    await shown.getByText('A good filter').waitFor();
    await submit(shown);
    await shown.getByText('10 results in').waitFor();
    const rows = await shown.locator('.results tbody tr').allTextContents();
    expect(rows).toHaveLength(10);
    for (const row of rows) expect(row).toMatch(/genre (\w+, war|war, \w+).*year 195\d/);
    expect(await shown.locator('#explain').textContent()).toMatch(/masked scan|matches only/);
  });

  it('shows errors of the server as they are', async () => {
    const shown = await page();
    await shown.getByLabel('Id', { exact: true }).fill('title 30');
    await shown.getByLabel('Leaves', { exact: true }).fill('0');
    await submit(shown);
    const alert = shown.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(
      /SCANNERY_INVALID_OPTION.*numLeavesToSearch.*0.*option numLeavesToSearch/,
    );
  });

  it('draws how the answer was found', async () => {
    const shown = await page();
    await shown.getByLabel('Id', { exact: true }).fill('title 30');
    await shown.getByLabel('Leaves', { exact: true }).fill('5');
    await submit(shown);
    const timeline = shown.getByRole('img', { name: /^Timeline: prepare .* merge/ });
    await timeline.waitFor();
    expect(await timeline.locator('rect.scan').count()).toBe(2);
    for (const stage of ['prepare', 'reorder', 'merge']) {
      expect(await timeline.locator(`rect.${stage}`).count()).toBeGreaterThan(0);
    }
    await shown.getByText('Times as a table').click();
    expect(await shown.locator('#explain tbody tr').count()).toBe(4);
    expect(await shown.locator('#explain').textContent()).toMatch(/Leaves visited5/);
    await shown.getByRole('checkbox', { name: 'Explain' }).uncheck();
    await submit(shown);
    await shown.getByText('Search with “Explain” ticked').waitFor();
  });

  it('draws what goes on, and pauses while it is not seen', async () => {
    const shown = await page();
    const queries = setInterval(() => void index.search(vectorOf(1)), 50);
    const asked: number[] = [];
    shown.on('request', (request) => {
      if (request.url().endsWith('/metrics')) asked.push(Date.now());
    });
    try {
      for (const title of ['Queries per second', 'Memory']) {
        const chart = shown.locator('figure.live', { hasText: title });
        await expect
          .poll(async () => Number(await chart.getAttribute('data-points')), { timeout: 20_000 })
          .toBeGreaterThan(1);
        expect(await chart.locator('canvas').count()).toBe(1);
      }
      expect(await shown.locator('figure.live', { hasText: 'Queries per second' }).textContent()).toMatch(/QPS [1-9]/);
      await shown.getByLabel('Vector', { exact: true }).check();
      await shown.getByRole('textbox', { name: 'Vector' }).fill(vectorOf(2).join(' '));
      await submit(shown);
      const recall = shown.locator('figure.live', { hasText: 'Live recall' });
      await expect.poll(() => recall.textContent(), { timeout: 20_000 }).toMatch(/recall \d+(\.\d+)? %/);
      const latency = shown.locator('figure.live', { hasText: 'Latency' });
      await expect.poll(() => latency.textContent(), { timeout: 20_000 }).toMatch(/p99 [\d.]+ ms/);
    } finally {
      clearInterval(queries);
    }
    await shown.evaluate(`
      Object.defineProperty(document, 'hidden', { get: () => window.isHidden, configurable: true });
      window.isHidden = true;
      document.dispatchEvent(new Event('visibilitychange'));`);
    await shown.waitForTimeout(500);
    const before = asked.length;
    await shown.waitForTimeout(3000);
    expect(asked.length).toBe(before);
    await shown.evaluate(`window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'));`);
    await expect.poll(() => asked.length).toBeGreaterThan(before);
  });

  it('shows the sizes of leaves', async () => {
    const shown = await page();
    const { leaves } = await index.health();
    const panel = shown.locator('#leaves');
    await panel.getByRole('img', { name: /^Leaves by size/ }).waitFor();
    expect(await panel.locator('rect.bar').count()).toBe(leaves.histogram.length);
    await panel.getByText('Sizes as a table').click();
    const counts = await panel.locator('tbody td').allTextContents();
    expect(counts.map(Number)).toEqual(leaves.histogram.map((step) => step.leaves));
    await panel.getByRole('button', { name: 'Refresh' }).click();
    await panel.getByRole('button', { name: 'Refresh' }).waitFor();
  });

  it('tunes, and searches with the setting that is chosen from the frontier', async () => {
    const shown = await page();
    const panel = shown.locator('#frontier');
    await panel.getByLabel('Target recall').fill('1.5');
    await panel.getByRole('button', { name: /^Tune/ }).click();
    await panel.getByRole('alert').getByText('targetRecall').first().waitFor();
    await panel.getByLabel('Target recall').fill('0.9');
    await panel.getByRole('button', { name: /^Tune/ }).click();
    const points = panel.locator('g[role=button]');
    await points.first().waitFor({ timeout: 60_000 });
    const settings = (label: string): number[] =>
      (label.match(/^(\d+) leaves, ([\d,]+) cand/) ?? []).slice(1).map((digits) => Number(digits.replace(',', '')));
    for (const [point, choose] of [
      [points.first(), 'click'],
      [points.last(), 'Enter'],
    ] as const) {
      if (choose === 'click') await point.click();
      else await point.press('Enter');
      const [leaves, candidates] = settings((await point.getAttribute('aria-label'))!);
      expect(leaves).toBeGreaterThan(0);
      const fields = ['Leaves', 'Candidates'].map((name) => shown.getByLabel(name, { exact: true }));
      await expect
        .poll(() => Promise.all(fields.map((field) => field.inputValue())))
        .toEqual([String(leaves), String(candidates)]);
      expect(await point.getAttribute('aria-pressed')).toBe('true');
    }
    await shown.reload();
    await points.first().waitFor();
  });
});
