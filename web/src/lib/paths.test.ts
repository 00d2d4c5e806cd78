import { generatePath } from 'react-router';
import { describe, expect, it } from 'vitest';
import { paths, routes } from '@/lib/paths';
import { readRecordFilter, writeRecordFilter } from '@/lib/record-filter';

describe('paths', () => {
  it('builds every address of the dashboard', () => {
    expect({
      now: paths.now(),
      live: paths.live(),
      liveFiltered: paths.live({
        text: 'belt "slip 3"',
        minLevel: 'WARN',
        deviceId: 'CNV/03',
        application: 'wms & co',
      }),
      liveOfUser: paths.live({ userId: 'ann a', from: '2026-11-23T02:26:13.5Z' }),
      liveOfArea: paths.live({ area: 'Sorter 2' }),
      incident: paths.incident('0af3'),
      incidentHostile: paths.incident('../x?y#z'),
      csv: paths.export('csv', { deviceId: 'CNV-03' }),
    }).toMatchInlineSnapshot(`
      {
        "csv": "/export.csv?device_id=CNV-03",
        "incident": "/incidents/0af3",
        "incidentHostile": "/incidents/..%2Fx%3Fy%23z",
        "live": "/live",
        "liveFiltered": "/live?text=belt+%22slip+3%22&min_level=WARN&device_id=CNV%2F03&application=wms+%26+co",
        "liveOfArea": "/live?area=Sorter+2",
        "liveOfUser": "/live?user_id=ann+a&from=2026-11-23T02%3A26%3A13.5Z",
        "now": "/",
      }
    `);
  });

  it('agrees with the patterns of the router', () => {
    expect(paths.now()).toBe(routes.now);
    expect(paths.live()).toBe(routes.live);
    expect(paths.incident('a b')).toBe(generatePath(routes.incident, { id: 'a b' }));
  });
});

describe('the filter in the URL', () => {
  it.each([
    ['', {}],
    ['text=jam&min_level=ERROR', { text: 'jam', minLevel: 'ERROR' }],
    ['min_level=error&device_id=%20CNV-03%20', { minLevel: 'ERROR', deviceId: 'CNV-03' }],
    ['min_level=loud&text=%20%20', {}],
    ['unknown=1&application=wms', { application: 'wms' }],
    ['user_id=anna&from=2026-11-23T02%3A26%3A13.000000Z', { userId: 'anna', from: '2026-11-23T02:26:13.000000Z' }],
    ['area=Sorter%202&from=2026-11-23T02:26:13%2B01:00', { area: 'Sorter 2', from: '2026-11-23T02:26:13+01:00' }],
    ['from=yesterday', {}],
    ['from=2026-11-23', {}],
    ['from=2026-13-23T02:26:13Z', {}],
  ] as const)('reads %j', (search, filter) => {
    expect(readRecordFilter(new URLSearchParams(search))).toEqual(filter);
  });

  it('is the same after writing and reading', () => {
    const filter = {
      text: 'ä & "b"',
      minLevel: 'FATAL',
      deviceId: 'a=b',
      application: 'c d',
      userId: 'e+f',
      area: 'g/h',
      from: '2026-11-23T02:26:13.123456Z',
    } as const;
    expect(readRecordFilter(new URLSearchParams(writeRecordFilter(filter).toString()))).toEqual(filter);
  });

  it('cuts a value of any length', () => {
    expect(readRecordFilter(new URLSearchParams({ text: 'x'.repeat(10_000) })).text).toHaveLength(256);
  });
});
