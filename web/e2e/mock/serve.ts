import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Server } from 'socket.io';
import { EVENT, SUBSCRIBE, UNSUBSCRIBE, type Subscribe, type Unsubscribe } from '@/gen/events/events';
import type { MockAndon } from '@/testing/mock-andon';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The policy under which the real service serves the app, so that a page that breaks it is seen here first. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** Serves web/dist and the mock over HTTP and Socket.IO, on loopback. */
export async function serve(andon: MockAndon, port = 0): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    handle(andon, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  const sockets = new Server(server, { serveClient: false });
  sockets.on('connection', (socket) => {
    const client = andon.connect((event) => socket.emit(EVENT, event));
    socket.on(SUBSCRIBE, (request: Subscribe, answer: (value: unknown) => void) => {
      answer(client.subscribe(request));
    });
    socket.on(UNSUBSCRIBE, ({ subscription }: Unsubscribe, answer: (value: unknown) => void) => {
      answer(client.unsubscribe(subscription));
    });
    socket.on('disconnect', client.disconnect);
  });
  const beat = setInterval(() => {
    andon.tellStatus();
  }, 5_000);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      clearInterval(beat);
      await sockets.close();
    },
  };
}

async function handle(andon: MockAndon, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  if (path === '/graphql' && request.method === 'POST') {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const token = request.headers['andon-link-token'];
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { query: string };
    const answer = await andon.execute(body, typeof token === 'string' ? token : undefined);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    return;
  }
  const file = extname(path) === '' ? 'index.html' : normalize(path).replace(/^(\.\.[/\\])+/, '');
  const content = await readFile(join(dist, file)).catch(() => undefined);
  if (!content) {
    response.writeHead(404).end();
    return;
  }
  response
    .writeHead(200, {
      'content-type': types[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': policy,
    })
    .end(content);
}
