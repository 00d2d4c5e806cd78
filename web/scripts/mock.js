// Serves the built pages (npm run build) on the mock service, with a plant that goes on: for looking at pages.
import { createServer } from 'vite';

const port = Number(process.env.PORT ?? 7409);
const vite = await createServer({
  server: { middlewareMode: true, watch: null, hmr: false, ws: false },
  appType: 'custom',
});
const { aPlant, goOn } = await vite.ssrLoadModule('/e2e/mock/plant.ts');
const { serve } = await vite.ssrLoadModule('/e2e/mock/serve.ts');
const andon = aPlant();
const service = await serve(andon, port);
goOn(andon);
console.log(`mock service at ${service.url}`);
