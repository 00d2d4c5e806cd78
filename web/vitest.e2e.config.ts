import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const resolve = { alias: { '@': fileURLToPath(new URL('src', import.meta.url)) } };
const test = { environment: 'node', testTimeout: 60_000, hookTimeout: 60_000 } as const;

/**
 * Browser tests, see e2e/README.md. `andon` drives a running Andon, `mock` the built pages on the mock service. One file after
 * another, for they share one server and one small machine.
 */
export default defineConfig({
  test: {
    fileParallelism: false,
    projects: [
      { resolve, test: { ...test, name: 'andon', include: ['e2e/*.e2e.ts'] } },
      { resolve, test: { ...test, name: 'mock', include: ['e2e/mock/*.e2e.ts'] } },
    ],
  },
});
