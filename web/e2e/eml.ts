const incidentLinks = /https?:\/\/[^\s"'<>]+\/incidents\/[0-9a-f]{32}\?[^\s"'<>]*token=[^\s"'<>)]+/g;
const logLinks = /https?:\/\/[^\s"'<>]+\/live\?[^\s"'<>)]+/g;

/** Links to incidents with a token in an e-mail that mentions `word`. `raw` is the message, one character a byte. */
export function linksIn(raw: string, word: string): URL[] {
  return linksLike(incidentLinks, raw, word);
}

/** Links to the log in an e-mail that mentions `word`. */
export function logLinksIn(raw: string, word: string): URL[] {
  return linksLike(logLinks, raw, word);
}

function linksLike(pattern: RegExp, raw: string, word: string): URL[] {
  const texts = partsOf(raw).filter(({ type }) => type === 'text/plain' || type === 'text/html');
  if (!texts.some(({ text }) => text.includes(word))) return [];
  const plain = texts.find(({ type }) => type === 'text/plain') ?? texts[0];
  const found = plain?.text.match(pattern) ?? [];
  return [...new Set(found)].map((link) => new URL(link.replaceAll('&amp;', '&')));
}

interface Part {
  type: string;
  text: string;
}

/** The leaves of a MIME message, decoded. */
function partsOf(raw: string): Part[] {
  const { headers, body } = split(raw);
  const type = headers.get('content-type') ?? 'text/plain';
  const boundary = /boundary="?([^";]+)"?/i.exec(type)?.[1];
  if (type.startsWith('multipart/') && boundary !== undefined) {
    return body
      .split(new RegExp(`^--${boundary.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?:--)?[ \\t]*\\r?$`, 'm'))
      .slice(1, -1)
      .flatMap((part) => partsOf(part.replace(/^\r?\n/, '')));
  }
  return [
    {
      type: type.split(';')[0]?.trim().toLowerCase() ?? '',
      text: decode(body, headers.get('content-transfer-encoding')),
    },
  ];
}

function split(raw: string): { headers: Map<string, string>; body: string } {
  const end = /\r?\n\r?\n/.exec(raw);
  const head = end === null ? raw : raw.slice(0, end.index);
  const body = end === null ? '' : raw.slice(end.index + end[0].length);
  const lines = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { headers, body };
}

function decode(body: string, encoding = '7bit'): string {
  const bytes = (text: string) => Buffer.from(text, 'latin1').toString('utf8');
  if (/^base64$/i.test(encoding)) return Buffer.from(body, 'base64').toString('utf8');
  if (/^quoted-printable$/i.test(encoding)) {
    return bytes(
      body
        .replace(/=[ \t]*\r?\n/g, '')
        .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    );
  }
  return bytes(body);
}
