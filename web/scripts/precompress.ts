import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Plugin } from 'vite';

/** Pictures and fonts are compressed by themselves. */
const extensions = new Set(['.html', '.js', '.css', '.svg', '.json', '.txt', '.webmanifest']);

const encodings: [extension: string, compress: (content: Buffer) => Promise<Buffer>][] = [
  ['.br', (content) => promisify(brotliCompress)(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })],
  ['.gz', (content) => promisify(gzip)(content, { level: 9 })],
];

/**
 * Lays a brotli and a gzip copy beside each file of the build that either makes smaller, those of public/ included. The dashboard
 * service sends the copy that the browser takes, so nothing is compressed while somebody waits.
 */
export function precompress(): Plugin {
  let folder: string | undefined;
  return {
    name: 'andon-precompress',
    apply: 'build',
    configResolved: ({ root, build }) => {
      // A build that writes nothing leaves the last one's files alone.
      folder = build.write ? resolve(root, build.outDir) : undefined;
    },
    closeBundle: async () => {
      if (folder !== undefined) await compressFiles(folder);
    },
  };
}

async function compressFiles(folder: string): Promise<void> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => extensions.has(extname(path)) && statSync(path).isFile());
  await Promise.all(
    paths.flatMap((path) =>
      encodings.map(async ([extension, compress]) => {
        const content = readFileSync(path);
        const compressed = await compress(content);
        if (compressed.length < content.length) writeFileSync(path + extension, compressed);
      }),
    ),
  );
}
