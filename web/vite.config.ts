import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Where `vite` finds a running dashboard service while one works on the pages. */
const service = process.env['ANDON_DASHBOARD_URL'] ?? 'http://127.0.0.1:7401';

export default defineConfig({
  plugins: [react(), tailwindcss()],
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
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/testing/setup.ts'],
    restoreMocks: true,
    env: { TZ: 'UTC' },
  },
});
