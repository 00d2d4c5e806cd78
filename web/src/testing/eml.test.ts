import { describe, expect, it } from 'vitest';
import { linksIn, logLinksIn } from '../../e2e/eml';

const id = '0af3'.repeat(8);
const crlf = (text: string) => text.replaceAll('\n', '\r\n');

describe('reading a link out of an e-mail', () => {
  it('decodes quoted-printable and takes the text part', () => {
    const mail = crlf(`Subject: x
Content-Type: multipart/alternative;
 boundary="b.1"

--b.1
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

wms-1 failed: http://127.0.0.1:7401/incidents/${id}?token=3Dabc.d=
ef-_1
--b.1
Content-Type: text/html; charset=utf-8

<a href="http://127.0.0.1:7401/incidents/${id}?token=abc.def-_1">wms-1</a>
--b.1--
`);
    expect(linksIn(mail, 'wms-1').map(String)).toEqual([`http://127.0.0.1:7401/incidents/${id}?token=abc.def-_1`]);
    expect(linksIn(mail, 'another')).toEqual([]);
  });

  it('tells links to the log from those to the incident', () => {
    const mail = crlf(`Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

wms-1 failed: http://127.0.0.1:7401/incidents/${id}?token=3Dabc
Show the log:
http://127.0.0.1:7401/live?user_id=3Danna&from=3D2026-11-23T01%3A05%3A05.0=
00000Z
`);
    expect(logLinksIn(mail, 'wms-1').map(String)).toEqual([
      'http://127.0.0.1:7401/live?user_id=anna&from=2026-11-23T01%3A05%3A05.000000Z',
    ]);
    expect(linksIn(mail, 'wms-1').map(String)).toEqual([`http://127.0.0.1:7401/incidents/${id}?token=abc`]);
  });

  it('decodes base64', () => {
    const text = Buffer.from(`wms-1 https://andon.example/incidents/${id}?token=t ok`).toString('base64');
    const mail = crlf(`Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n${text}\n`);
    expect(linksIn(mail, 'wms-1').map(String)).toEqual([`https://andon.example/incidents/${id}?token=t`]);
  });
});
