import { randomUUID } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { linksIn, logLinksIn } from './eml';

/** The running Andon that the tests drive, from the environment. Says at once all that is missing. */
export interface Andon {
  dashboardUrl: string;
  ingestUrl: string;
  key: string;
  /** Folder of .eml files; without it the test of the e-mail's link is skipped. */
  outbox: string | undefined;
}

export function andonFromEnvironment(): Andon {
  const needed = ['ANDON_DASHBOARD_URL', 'ANDON_INGEST_URL', 'ANDON_KEY'] as const;
  const missing = needed.filter((name) => !process.env[name]);
  if (missing.length > 0) throw new Error(`set ${missing.join(', ')}: see e2e/README.md`);
  const [dashboardUrl = '', ingestUrl = '', key = ''] = needed.map((name) => process.env[name]?.replace(/\/$/, ''));
  return { dashboardUrl, ingestUrl, key, outbox: process.env['ANDON_OUTBOX'] };
}

/** A name that no earlier run has used. */
export function freshName(what: string): string {
  return `${what}-${randomUUID().slice(0, 8)}`;
}

/** Posts records and makes sure that each was accepted. */
export async function post({ ingestUrl, key }: Andon, records: Record<string, unknown>[]): Promise<void> {
  const response = await fetch(`${ingestUrl}/v1/records`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(records),
  });
  const text = await response.text();
  const accepted = response.status === 202 ? (JSON.parse(text) as { accepted: number }).accepted : 0;
  if (accepted !== records.length) throw new Error(`${response.status} to ${records.length} records: ${text}`);
}

/** Asks until there is an answer; says what it last saw when the time is over. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, timeoutMs = 30_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Links to incidents in the e-mails of the outbox that mention `word`, newest e-mail first. */
export async function linksInOutbox(outbox: string, word: string): Promise<URL[]> {
  return (await mailsIn(outbox)).flatMap((raw) => linksIn(raw, word));
}

/** The same of links to the log. */
export async function logLinksInOutbox(outbox: string, word: string): Promise<URL[]> {
  return (await mailsIn(outbox)).flatMap((raw) => logLinksIn(raw, word));
}

/** Newest first, one character a byte. */
async function mailsIn(outbox: string): Promise<string[]> {
  // The folder comes with the first e-mail.
  const names = (await readdir(outbox, { recursive: true }).catch(() => [])).filter((name) => name.endsWith('.eml'));
  const mails = await Promise.all(
    names.map(async (name) => {
      const path = join(outbox, name);
      return { modifiedMs: (await stat(path)).mtimeMs, raw: await readFile(path, 'latin1') };
    }),
  );
  return mails.sort((a, b) => b.modifiedMs - a.modifiedMs).map(({ raw }) => raw);
}
