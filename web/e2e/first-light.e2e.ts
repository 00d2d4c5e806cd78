import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { andonFromEnvironment, freshName, linksInOutbox, post, until } from './andon';
import { openBrowser, type OpenBrowser } from './browser';

const andon = andonFromEnvironment();
/** One application for the whole run: its incident is the one that somebody is mailed about, for a second one is held back. */
const application = freshName('e2e-wms');
const message = `Deadlock on order table of ${application}`;

const fiveErrors = () =>
  Array.from({ length: 5 }, (_, index) => ({
    level: 'ERROR',
    application,
    type: 'AP.deadlock',
    message,
    fields: { attempt: index },
  }));

describe('a record that goes in over HTTP', () => {
  let browser: OpenBrowser;
  let now: Page;

  beforeAll(async () => {
    browser = await openBrowser();
    now = await browser.page();
    await now.goto(andon.dashboardUrl);
    await now.getByRole('heading', { name: 'Open incidents' }).waitFor();
    await now.getByText('Taking records').waitFor();
  });
  afterAll(async () => {
    await browser.close();
  });

  it('shows on the page Live without a reload', async () => {
    const device = freshName('e2e-cnv');
    const live = await browser.page();
    await live.goto(`${andon.dashboardUrl}/live?device_id=${device}`);
    await live.getByText('No records yet').waitFor();
    await post(andon, [{ level: 'INFO', device_id: device, message: 'Tote 7 diverted', fields: { chute: 14 } }]);
    const line = live.getByRole('button', { name: /Tote 7 diverted/ });
    await line.waitFor();
    await line.click();
    await live.getByText('"chute": 14').waitFor();
    await live.context().close();
  });

  it('opens an incident on the page Now, which was open before', async () => {
    await post(andon, fiveErrors());
    const row = now.getByRole('row').filter({ hasText: application });
    await row.waitFor();
    expect(await row.innerText()).toContain('Unacked');
    expect(await row.getByRole('link').innerText()).toBe(message);
  });

  it.skipIf(andon.outbox === undefined)('is told by an e-mail whose link opens it and acknowledges it', async () => {
    const outbox = andon.outbox ?? '';
    const [link] = await until(
      `an e-mail about ${application} in ${outbox} (one person gets one e-mail in 5 minutes: use a fresh data folder)`,
      async () => {
        const links = await linksInOutbox(outbox, application);
        return links.length === 0 ? undefined : links;
      },
    );
    if (link === undefined) throw new Error('no link');

    const phone = await browser.page({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await phone.goto(`${andon.dashboardUrl}${link.pathname}${link.search}`);
    await phone.getByRole('heading', { level: 1, name: message }).waitFor();
    const acknowledge = phone.getByRole('button', { name: `Acknowledge: ${message}` });
    await acknowledge.waitFor();

    // Following the link has changed nothing: the page Now still says that nobody has acknowledged.
    const row = now.getByRole('row').filter({ hasText: application });
    expect(await row.innerText()).toContain('Unacked');

    await acknowledge.tap();
    await acknowledge.waitFor({ state: 'detached' });
    await phone
      .getByText(/ · Acked/)
      .first()
      .waitFor();
    await row.filter({ hasText: 'Acked' }).filter({ hasNotText: 'Unacked' }).waitFor();
    await phone.context().close();
  });

  it('says that a link is not valid when somebody has changed it', async () => {
    const page = await browser.page();
    await page.goto(`${andon.dashboardUrl}/incidents/${'0'.repeat(32)}?token=invalid`);
    await page.getByText('This link is not valid.').waitFor();
    await page.context().close();
  });

  it('leaves no complaint in the console of the browser', () => {
    expect(browser.faults).toEqual([]);
  });
});
