import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { andonFromEnvironment, freshName, logLinksInOutbox, post, until } from './andon';
import { openBrowser, type OpenBrowser } from './browser';

const andon = andonFromEnvironment();
const run = freshName('run');
const before = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

/** Who a record is of; a member more or less makes it another's. */
const subjects = {
  device: { device_id: `${run}-cnv` },
  application: { application: `${run}-wms` },
  user: { user_id: `${run}-anna`, device_id: `${run}-scanner` },
  // As in plant.toml.
  area: { device_id: 'e2e-sorter-1' },
} as const;
/** Records of the same moment that only a link to too much would show. */
const neighbours = {
  device: { device_id: `${run}-cnv-2` },
  application: { application: `${run}-wms-2` },
  user: { user_id: `${run}-bob`, device_id: `${run}-scanner` },
  area: { device_id: `${run}-no-area` },
} as const;
const companions = { ...subjects, area: { device_id: 'e2e-sorter-2' } } as const;

describe.skipIf(andon.outbox === undefined)('the link to the log in an e-mail', () => {
  let browser: OpenBrowser;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
  });

  it.each(['device', 'application', 'user', 'area'] as const)(
    'opens the records of its subject, %s, from 5 minutes before, and no others',
    async (kind) => {
      const say = (who: object, message: string, minutes: number) => ({
        ...who,
        level: 'INFO',
        timestamp: before(minutes),
        message: `${run} ${kind} ${message}`,
      });
      await post(andon, [
        say(subjects[kind], 'too early', 7),
        say(companions[kind], 'shortly before', 4),
        say(neighbours[kind], 'of another', 3),
        { ...say(subjects[kind], 'the fault', 0), level: 'ERROR', type: `E2E.${kind}` },
      ]);
      const outbox = andon.outbox ?? '';
      const link = await until(`an e-mail about the fault of a ${kind} in ${outbox}`, async () => {
        const links = await logLinksInOutbox(outbox, `${run} ${kind} the fault`);
        return links[0];
      });
      const page = await browser.page();
      await page.goto(`${andon.dashboardUrl}${link.pathname}${link.search}`);
      const lines = page.getByRole('group', { name: /Records/ }).getByRole('button', { name: new RegExp(run) });
      await lines.filter({ hasText: 'the fault' }).waitFor();
      await lines.filter({ hasText: 'shortly before' }).waitFor();
      expect(await lines.count()).toBe(2);
      // What comes from now on is of the subject as well.
      await post(andon, [say(neighbours[kind], 'of another, later', 0), say(companions[kind], 'afterwards', 0)]);
      await lines.filter({ hasText: 'afterwards' }).waitFor();
      expect(await lines.filter({ hasText: 'of another' }).count()).toBe(0);
      const csv = await page.request.get(
        new URL((await page.getByRole('link', { name: 'CSV' }).getAttribute('href')) ?? '', andon.dashboardUrl).href,
      );
      const text = await csv.text();
      expect(text).toContain('the fault');
      expect(text).toContain('shortly before');
      expect(text).not.toContain('of another');
      expect(text).not.toContain('too early');
      await page.context().close();
    },
  );

  it('leaves no complaint in the console of the browser', () => {
    expect(browser.faults).toEqual([]);
  });
});

describe('the first page', () => {
  it('comes compressed, and its scripts are kept', async () => {
    const browser = await openBrowser();
    const page = await browser.page();
    const scripts: { encoding: string | undefined; cache: string | undefined }[] = [];
    page.on('response', (response) => {
      if (!response.url().includes('/assets/')) return;
      const { 'content-encoding': encoding, 'cache-control': cache } = response.headers();
      scripts.push({ encoding, cache });
    });
    const document = await page.goto(andon.dashboardUrl);
    await page.getByText('Taking records').waitFor();
    expect(document?.headers()['cache-control']).toBe('no-cache');
    expect(scripts.length).toBeGreaterThan(3);
    // Over plain HTTP a browser offers gzip and no brotli, but for loopback.
    for (const { encoding, cache } of scripts) {
      expect(['br', 'gzip', undefined]).toContain(encoding);
      expect(cache).toContain('immutable');
    }
    expect(scripts.filter(({ encoding }) => encoding !== undefined).length).toBeGreaterThan(3);
    await browser.close();
  });
});
