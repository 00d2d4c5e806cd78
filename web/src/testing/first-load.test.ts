import { readFileSync, existsSync, mkdtempSync, rmSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { build, type Manifest } from 'vite';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

/** The page Now on a phone's network: what it downloads before it shows anything, with brotli. One that needs more needs a reason. */
const BROTLI_BYTES_MAX = 180_000;
/** The same for a browser that knows gzip only. */
const GZIP_BYTES_MAX = 205_000;

const web = join(import.meta.dirname, '../..');
const out = mkdtempSync(join(tmpdir(), 'andon-web-'));

/** What the page Now downloads: the document, and the scripts and styles that it and its own file import. */
function firstLoad(): string[] {
  const manifest = JSON.parse(readFileSync(join(out, '.vite/manifest.json'), 'utf8')) as Manifest;
  const files = new Set(['index.html', 'theme.js', 'favicon.svg']);
  const follow = (name: string) => {
    const chunk = manifest[name];
    if (chunk === undefined) throw new Error(`the build has no ${name}`);
    if (files.has(chunk.file)) return;
    for (const file of [chunk.file, ...(chunk.css ?? [])]) files.add(file);
    chunk.imports?.forEach(follow);
  };
  follow('index.html');
  follow('src/app/routes/now.tsx');
  return [...files];
}

const bytes = (file: string) => readFileSync(join(out, file)).length;
const sent = (extension: string) =>
  firstLoad()
    .map((file) => (existsSync(join(out, file + extension)) ? bytes(file + extension) : bytes(file)))
    .reduce((sum, size) => sum + size, 0);

describe('the built pages', { timeout: 180_000 }, () => {
  beforeAll(async () => {
    // As `npm run build` has it; the tests' own would build React with its warnings.
    vi.stubEnv('NODE_ENV', 'production');
    await build({ root: web, logLevel: 'silent', build: { outDir: out, emptyOutDir: true, manifest: true } });
    vi.unstubAllEnvs();
  }, 180_000);
  afterAll(() => {
    rmSync(out, { recursive: true });
  });

  it('lie beside a brotli and a gzip copy of themselves wherever that saves bytes', () => {
    const files = readdirSync(out, { recursive: true, encoding: 'utf8' });
    const text = files.filter((file) => ['.html', '.js', '.css', '.svg'].includes(extname(file)));
    expect(text.length).toBeGreaterThan(5);
    for (const file of text.filter((file) => bytes(file) > 1_024)) {
      const original = readFileSync(join(out, file));
      expect(brotliDecompressSync(readFileSync(join(out, `${file}.br`))).equals(original), file).toBe(true);
      expect(gunzipSync(readFileSync(join(out, `${file}.gz`))).equals(original), file).toBe(true);
    }
    for (const copy of files.filter((file) => ['.br', '.gz'].includes(extname(file)))) {
      expect(bytes(copy), copy).toBeLessThan(bytes(copy.slice(0, -3)));
    }
  });

  it('open the first page with few bytes', () => {
    expect(sent('.br')).toBeLessThan(BROTLI_BYTES_MAX);
    expect(sent('.gz')).toBeLessThan(GZIP_BYTES_MAX);
  });

  it('leave the other pages for when they are opened', () => {
    const manifest = JSON.parse(readFileSync(join(out, '.vite/manifest.json'), 'utf8')) as Manifest;
    const first = new Set(firstLoad());
    for (const page of ['live', 'incident']) {
      const file = manifest[`src/app/routes/${page}.tsx`]?.file;
      expect(file).toBeDefined();
      expect(first.has(file ?? '')).toBe(false);
    }
  });
});
