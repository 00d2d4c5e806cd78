import { act, fireEvent, screen, waitFor } from '@testing-library/react';
import { beforeAll, describe, expect, it } from 'vitest';
import { aRecord, hexId } from '@/testing/factories';
import { MockAndon } from '@/testing/mock-andon';
import { renderApp } from '@/testing/render-app';

beforeAll(async () => {
  await import('@/app/routes/live');
});

const record = (n: number, change: Parameters<typeof aRecord>[0] = {}) =>
  aRecord({ recordId: hexId(n), message: `line ${n}`, ...change });

const filters = (andon: MockAndon) =>
  andon.subscriptions.filter(({ room }) => room === 'record').map(({ filter }) => filter);

/** The page with `stored` shown and the feed running. */
async function openLive(path = '/live', ...stored: Parameters<MockAndon['append']>[0]) {
  return openLiveOf(new MockAndon(), path, ...stored);
}

async function openLiveOf(andon: MockAndon, path: string, ...stored: Parameters<MockAndon['append']>[0]) {
  andon.append(stored);
  const app = renderApp(path, andon);
  await waitFor(() => {
    expect(filters(andon)).toHaveLength(1);
  });
  await waitFor(() => {
    expect(andon.asked.map(({ operation }) => operation)).toContain('RecentRecords');
  });
  await waitFor(() => {
    expect(screen.queryByText(/Loading the last records/)).not.toBeInTheDocument();
  });
  return app;
}

const lines = () => screen.queryAllByRole('button', { expanded: false }).map((line) => line.textContent);
const line = (text: string | RegExp) => screen.findByRole('button', { name: text });

describe('the live tail', () => {
  it('begins with what was stored last and shows what arrives on top of it', async () => {
    const { andon } = await openLive('/live', record(1), record(2));
    await line(/line 2/);
    act(() => {
      andon.append([record(3)]);
    });
    await line(/line 3/);
    expect(lines().map((text) => /line \d/.exec(text)?.[0])).toEqual(['line 3', 'line 2', 'line 1']);
  });

  it('says so while there is nothing', async () => {
    await openLive();
    expect(await screen.findByText('No records yet')).toBeInTheDocument();
  });

  it('stands still under a pointer, and shows what waited when asked', async () => {
    const { andon, user } = await openLive('/live', record(1));
    await line(/line 1/);
    fireEvent.pointerEnter(screen.getByRole('group', { name: /Records/ }), { pointerType: 'mouse' });
    andon.append([record(2), record(3)]);
    const pill = await screen.findByRole('button', { name: '2 new' });
    expect(screen.getByText('Held while the pointer is over the lines.')).toBeInTheDocument();
    expect(screen.queryByRole('button', { name: /line 3/ })).not.toBeInTheDocument();
    await user.click(pill);
    expect(await line(/line 3/)).toBeInTheDocument();
    expect(screen.queryByRole('button', { name: / new$/ })).not.toBeInTheDocument();
  });

  it('goes on by itself when the pointer leaves', async () => {
    const { andon } = await openLive('/live', record(1));
    await line(/line 1/);
    const list = screen.getByRole('group', { name: /Records/ });
    fireEvent.pointerEnter(list, { pointerType: 'mouse' });
    andon.append([record(2)]);
    await screen.findByRole('button', { name: '1 new' });
    fireEvent.pointerLeave(list);
    expect(await line(/line 2/)).toBeInTheDocument();
    expect(screen.getByText('Following, newest on top.')).toBeInTheDocument();
  });

  it('stands still while somebody reads older lines', async () => {
    const { andon } = await openLive('/live', record(1));
    await line(/line 1/);
    const list = screen.getByRole('group', { name: /Records/ });
    list.scrollTop = 40;
    fireEvent.scroll(list);
    andon.append([record(2)]);
    expect(await screen.findByRole('button', { name: '1 new' })).toBeInTheDocument();
  });

  it('pauses and resumes by a button', async () => {
    const { andon, user } = await openLive('/live', record(1));
    await line(/line 1/);
    await user.click(screen.getByRole('button', { name: 'Pause' }));
    andon.append([record(2)]);
    expect(await screen.findByRole('button', { name: '1 new' })).toBeInTheDocument();
    await user.click(screen.getByRole('button', { name: 'Resume' }));
    expect(await line(/line 2/)).toBeInTheDocument();
  });

  it('opens a line to all of its fields and holds meanwhile', async () => {
    const { andon, user } = await openLive(
      '/live',
      record(1, {
        orderId: '8812-44',
        fields: '{"pid":4711}',
        readings: [{ __typename: 'Reading', name: 'load', value: 0.92 }],
        flags: ['clock_skew'],
      }),
    );
    await user.click(await line(/line 1/));
    expect(screen.getByText('8812-44')).toBeInTheDocument();
    expect(screen.getByText(/"pid": 4711/)).toBeInTheDocument();
    expect(screen.getByText('readings.load')).toBeInTheDocument();
    expect(screen.getByText(/clock_skew: its clock was ahead/)).toBeInTheDocument();
    expect(screen.getByRole('link', { name: 'Only application wms' })).toHaveAttribute('href', '/live?application=wms');
    expect(screen.getByText('Held while a line is open.')).toBeInTheDocument();
    andon.append([record(2)]);
    expect(await screen.findByRole('button', { name: '1 new' })).toBeInTheDocument();
  });

  it('says how much was left out, and where', async () => {
    const { andon } = await openLive('/live', record(1));
    await line(/line 1/);
    andon.append([record(2)], 1_200);
    expect(await screen.findByText('1,200 records left out here')).toBeInTheDocument();
    expect(screen.getByText(/^1,200 records left out: more arrive/)).toBeInTheDocument();
  });

  it('fetches the whole of a record that the feed has cut', async () => {
    const { andon, user } = await openLive();
    const long = `${'x'.repeat(3_000)} the end`;
    andon.records.push(record(5, { message: long }));
    act(() => {
      andon.append([record(5, { message: 'x'.repeat(20), truncated: true })]);
    });
    await user.click(await line(/xxxx/));
    await user.click(screen.getByRole('button', { name: 'Show all of it' }));
    expect(await screen.findByText(long)).toBeInTheDocument();
  });

  it('shows what a machine wrote as text, whatever it wrote', async () => {
    const message = '<script>alert(1)</script><img src=x onerror=alert(1)>';
    const { user } = await openLive('/live', record(1, { message, fields: '{"a":"<b>x</b>"}' }));
    await user.click(await line(new RegExp('alert')));
    expect(document.querySelector('main script, main img, main dl b')).toBeNull();
  });

  it('goes on after a reconnect where it stopped, without asking for the stored lines again', async () => {
    const { andon, socket } = await openLive('/live', record(1));
    await line(/line 1/);
    const asked = () => andon.asked.filter(({ operation }) => operation === 'RecentRecords').length;
    const before = asked();
    act(() => {
      andon.append([record(2)]);
    });
    await line(/line 2/);
    socket.cut();
    socket.connect();
    const again = socket.sent.filter(({ payload }) => (payload as { room?: string }).room === 'record').at(-1);
    expect(again?.payload).toMatchObject({ since: { epoch: 'mock' } });
    act(() => {
      andon.append([record(3)]);
    });
    await line(/line 3/);
    expect(asked()).toBe(before);
  });
});

describe('the log of an incident, as an e-mail links it', () => {
  const from = '2026-11-23T02:26:13.000000Z';
  const at = (time: string) => `2026-11-23T${time}.000000Z`;
  const stored = [
    record(1, { timestamp: at('02:26:12'), userId: 'anna', deviceId: 'CNV-03' }),
    record(2, { timestamp: at('02:26:13'), userId: 'anna', deviceId: 'CNV-04' }),
    record(3, { timestamp: at('02:27:00'), userId: 'bob', deviceId: 'CNV-03', application: 'mes' }),
    record(4, { timestamp: at('02:28:00'), userId: null, deviceId: 'CNV-05', application: 'wcs' }),
    record(5, { timestamp: at('02:29:00'), userId: 'anna', deviceId: null }),
  ];
  const shown = () => lines().map((text) => /line \d/.exec(text)?.[0]);

  it.each([
    ['a user', `user_id=anna&from=${from}`, ['line 5', 'line 2']],
    ['an area', `area=Sorter%202&from=${from}`, ['line 4', 'line 3']],
    ['a device', `device_id=CNV-03&from=${from}`, ['line 3']],
    ['an application', `application=wms&from=${from}`, ['line 5', 'line 2']],
  ])('opens the records of %s from that time on, and no others', async (_subject, search, expected) => {
    const andon = new MockAndon();
    andon.areas.set('CNV-03', 'Sorter 2').set('CNV-05', 'Sorter 2');
    await openLiveOf(andon, `/live?${search}`, ...stored);
    await waitFor(() => {
      expect(shown()).toEqual(expected);
    });
    const [followed] = filters(andon);
    act(() => {
      andon.append(
        stored.map((old, n) => ({ ...old, recordId: hexId(100 + n), message: `late ${old.message ?? ''}` })),
      );
    });
    await waitFor(() => {
      expect(lines()).toHaveLength(2 * expected.length);
    });
    expect(followed).toMatchObject({ from });
    for (const format of ['CSV', 'NDJSON']) {
      const href = screen.getByRole('link', { name: format }).getAttribute('href') ?? '';
      expect([...new URL(href, 'http://x').searchParams]).toEqual([...new URLSearchParams(search)]);
    }
  });

  it('fetches all of them and not the last page alone', async () => {
    const many = Array.from({ length: 1_203 }, (_, n) => record(n + 1, { userId: 'anna', timestamp: at('02:30:00') }));
    const { andon } = await openLive(`/live?user_id=anna&from=${from}`, ...many);
    const pages = andon.asked.filter(({ operation }) => operation === 'RecentRecords');
    expect(pages.length).toBeGreaterThan(1);
    expect(screen.queryByText(/newest 2,000/)).not.toBeInTheDocument();
    expect(lines().length).toBeGreaterThan(0);
    expect(andon.fetched).toBe(1_203);
  });

  it('says that there are more than it shows', async () => {
    const many = Array.from({ length: 2_100 }, (_, n) => record(n + 1, { userId: 'anna', timestamp: at('02:30:00') }));
    await openLive(`/live?user_id=anna&from=${from}`, ...many);
    expect(await screen.findByText(/The newest 2,000 records are shown/)).toBeInTheDocument();
  });

  it('names what the bar has no field for, and lets it be taken away', async () => {
    const { andon, user, router } = await openLive(`/live?user_id=anna&area=Sorter%202&from=${from}`);
    expect(screen.getByText('User anna')).toBeInTheDocument();
    expect(screen.getByText('Area Sorter 2')).toBeInTheDocument();
    expect(screen.getByText('Since 2026-11-23 03:26:13.000 Europe/Berlin')).toBeInTheDocument();
    await user.click(screen.getByRole('button', { name: 'Remove: User anna' }));
    await waitFor(() => {
      expect(router.state.location.search).toBe('?area=Sorter+2&from=2026-11-23T02%3A26%3A13.000000Z');
    });
    await waitFor(() => {
      expect(filters(andon)).toEqual([{ area: 'Sorter 2', from }]);
    });
    await user.click(screen.getByRole('button', { name: 'Clear' }));
    await waitFor(() => {
      expect(router.state.location.search).toBe('');
    });
    expect(screen.queryByText('Area Sorter 2')).not.toBeInTheDocument();
  });
});

describe('the filter', () => {
  it('comes from the address', async () => {
    const { andon } = await openLive('/live?text=jam&min_level=WARN&device_id=CNV-03&application=wms');
    expect(filters(andon)).toEqual([{ text: 'jam', minLevel: 'WARN', deviceId: 'CNV-03', application: 'wms' }]);
    expect(screen.getByRole('searchbox', { name: 'Words in the message' })).toHaveValue('jam');
    expect(screen.getByRole('combobox', { name: 'Least level' })).toHaveValue('WARN');
    expect(screen.getByRole('textbox', { name: 'Device' })).toHaveValue('CNV-03');
    expect(screen.getByRole('textbox', { name: 'Application' })).toHaveValue('wms');
  });

  it('goes to the address when it is typed, and the feed follows', async () => {
    const { andon, user, router } = await openLive();
    await user.type(screen.getByRole('textbox', { name: 'Device' }), 'CNV-03');
    await user.selectOptions(screen.getByRole('combobox', { name: 'Least level' }), 'ERROR');
    await waitFor(() => {
      expect(router.state.location.search).toBe('?min_level=ERROR&device_id=CNV-03');
    });
    await waitFor(() => {
      expect(filters(andon)).toEqual([{ minLevel: 'ERROR', deviceId: 'CNV-03' }]);
    });
    expect(screen.getByRole('link', { name: 'CSV' })).toHaveAttribute(
      'href',
      '/export.csv?min_level=ERROR&device_id=CNV-03',
    );
    await user.click(screen.getByRole('button', { name: 'Clear' }));
    await waitFor(() => {
      expect(router.state.location.search).toBe('');
    });
    expect(screen.getByRole('textbox', { name: 'Device' })).toHaveValue('');
  });

  it('follows the address when that changes by itself', async () => {
    const { router } = await openLive('/live?device_id=A');
    await act(() => router.navigate('/live?device_id=B'));
    await waitFor(() => {
      expect(screen.getByRole('textbox', { name: 'Device' })).toHaveValue('B');
    });
  });
});
