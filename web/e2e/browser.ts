import { chromium, type BrowserContextOptions, type Page } from 'playwright-core';

/** Debian's; another one by environment. */
const executablePath = process.env['ANDON_CHROMIUM'] ?? '/usr/bin/chromium';

export interface OpenBrowser {
  page: (options?: BrowserContextOptions) => Promise<Page>;
  /** What the console or the page complained about. A test that ends with any has failed. */
  faults: string[];
  close: () => Promise<void>;
}

export async function openBrowser(): Promise<OpenBrowser> {
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const faults: string[] = [];
  return {
    faults,
    page: async (options = {}) => {
      const context = await browser.newContext(options);
      context.setDefaultTimeout(15_000);
      const page = await context.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
      });
      page.on('pageerror', (error) => {
        faults.push(String(error));
      });
      return page;
    },
    close: () => browser.close(),
  };
}
