import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser, type OpenBrowser } from '../browser';
import { aPlant } from './plant';
import { serve } from './serve';
import { aRecord, hexId } from '@/testing/factories';

const folder = fileURLToPath(new URL('../.shots', import.meta.url));

/** Pictures of every page on the mock service, to be looked at: `npm run shots`, then see e2e/.shots. */
describe('the pages', () => {
  const andon = aPlant();
  let browser: OpenBrowser;
  let service: Awaited<ReturnType<typeof serve>>;

  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    service = await serve(andon);
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await service.close();
  });

  const sizes = { desktop: { width: 1400, height: 900 }, phone: { width: 390, height: 844 } };
  const cases = Object.keys(sizes).flatMap((size) =>
    (['light', 'dark'] as const).map((scheme) => [size as keyof typeof sizes, scheme] as const),
  );

  it.each(cases)('%s, %s', async (size, scheme) => {
    const page = await browser.page({
      viewport: sizes[size],
      colorScheme: scheme,
      hasTouch: size === 'phone',
      isMobile: size === 'phone',
      timezoneId: size === 'phone' ? 'America/New_York' : 'Europe/Berlin',
      reducedMotion: 'reduce',
    });
    const shot = (name: string, fullPage = true) =>
      page.screenshot({ path: `${folder}/${name}-${size}-${scheme}.png`, fullPage });

    await page.goto(service.url);
    await page.getByRole('heading', { name: /critical incident is open/ }).waitFor();
    await page.getByText('Taking records').waitFor();
    expect(await overflow(page)).toBe(0);
    await shot('now');

    await page.goto(`${service.url}/incidents/${hexId(2)}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.getByText('Messages in it').waitFor();
    expect(await overflow(page)).toBe(0);
    await shot('incident');

    await page.goto(`${service.url}/incidents/${hexId(3)}?token=good`);
    await page.getByText('Peak of bearing').waitFor();
    await shot('incident-link');

    await page.goto(`${service.url}/incidents/${hexId(2)}?token=expired`);
    await page.getByText('This link has expired.').waitFor();
    await shot('link-expired');

    await page.goto(`${service.url}/live`);
    await page
      .getByRole('button', { name: /heartbeat ok/ })
      .first()
      .waitFor();
    expect(await overflow(page)).toBe(0);
    await shot('live', false);
    await page
      .getByRole('button', { name: /MTR_OVL/ })
      .first()
      .click();
    andon.append([aRecord({ recordId: hexId(Date.now()), message: 'came later' })], 37);
    await page.getByRole('button', { name: '1 new' }).waitFor();
    await shot('live-open', false);
    await page.getByRole('button', { name: '1 new' }).click();
    await page.mouse.move(1, 1);
    await page.getByText('37 records left out here').waitFor();
    await shot('live-left-out', false);

    await page.goto(`${service.url}/live?user_id=anna.meyer&area=Sorter+hall&from=2026-11-23T01:05:05.000000Z`);
    await page.getByText('User anna.meyer').waitFor();
    expect(await overflow(page)).toBe(0);
    await shot('live-of-user', false);

    expect(browser.faults).toEqual([]);
    await page.context().close();
  });
});

/** Pixels by which the page is wider than its window. */
async function overflow(page: { evaluate: <T>(script: () => T) => Promise<T> }): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
