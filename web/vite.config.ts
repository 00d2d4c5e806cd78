import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { precompress } from './scripts/precompress.ts';

/** Where `vite` finds a running dashboard service while one works on the pages. */
const service = process.env['ANDON_DASHBOARD_URL'] ?? 'http://127.0.0.1:7401';

export default defineConfig({
  plugins: [react(), tailwindcss(), precompress()],
  resolve: { alias: { '@': fileURLToPath(new URL('src', import.meta.url)) } },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/graphql': service,
      '/export.ndjson': service,
      '/export.csv': service,
      '/auth': service,
      '/socket.io': { target: service, ws: true },
    },
  },
  build: {
    target: 'es2022',
    sourcemap: false,
    // The content security policy allows images from the own origin only, no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  test: {
    // Pages need a document; what is only computed starts faster without one.
    projects: [
      {
        extends: true,
        test: {
          name: 'pages',
          environment: 'jsdom',
          include: ['src/**/*.test.tsx'],
          setupFiles: ['src/testing/setup.ts'],
        },
      },
      { extends: true, test: { name: 'logic', environment: 'node', include: ['src/**/*.test.ts'] } },
    ],
    restoreMocks: true,
    unstubGlobals: true,
    env: { TZ: 'UTC' },
    // Two slow cores with neighbours: a test waits on conditions, and this is only where it gives up.
    testTimeout: 30_000,
  },
});
