import { act, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { beforeAll, describe, expect, it } from 'vitest';
import { anIncident, hexId } from '@/testing/factories';
import { fault, MockAndon } from '@/testing/mock-andon';
import { renderApp } from '@/testing/render-app';

// What the router loads lazily is loaded once, so that a slow machine waits here and not within a test.
beforeAll(async () => {
  await import('@/app/routes/now');
});

const titles = () =>
  within(screen.getByRole('table'))
    .getAllByRole('link')
    .map((link) => link.textContent);

const rowOf = (title: string) => screen.getByRole('link', { name: title }).closest('tr')!;

function withIncidents(...incidents: Parameters<typeof anIncident>[0][]) {
  const andon = new MockAndon();
  for (const [index, incident] of incidents.entries()) andon.put(anIncident({ id: hexId(index + 1), ...incident }));
  return andon;
}

describe('the table of open incidents', () => {
  it('tells priority, state, title, subject, count and times in words', async () => {
    const andon = withIncidents({ title: 'Deadlock on order table', count: 1_204 });
    renderApp('/', andon);
    const row = await waitFor(() => rowOf('Deadlock on order table'));
    expect(within(row).getByRole('img', { name: 'Priority 2, high' })).toBeInTheDocument();
    expect(row).toHaveTextContent('Active · Unacked');
    expect(row).toHaveTextContent('wms');
    expect(row).toHaveTextContent('1,204');
    // 02:31 in UTC is 03:31 at the site, in Berlin; the browser of this test is in UTC.
    expect(row).toHaveTextContent('03:31');
    expect(screen.getByText('site time,')).toBeInTheDocument();
  });

  it.each([
    [{ state: 'ACTIVE_ACKNOWLEDGED' }, 'Active · Acked'],
    [{ state: 'RETURNED_UNACKNOWLEDGED', activity: 'RETURNED_TO_NORMAL' }, 'Returned to normal · Unacked'],
    [
      {
        state: 'SHELVED',
        shelved: { __typename: 'Shelving', until: '2026-11-23T05:00:00Z', by: 'maria', reason: 'cleaning' },
      },
      'Shelved until',
    ],
  ] as const)('says the state %j as ISA-18.2 does', async (change, words) => {
    renderApp('/', withIncidents({ title: 'one', ...change }));
    expect(await waitFor(() => rowOf('one'))).toHaveTextContent(words);
  });

  it('has the most urgent first: priority, then what nobody has acknowledged, shelved last', async () => {
    renderApp(
      '/',
      withIncidents(
        { title: 'shelved', priority: 'P1', state: 'SHELVED' },
        { title: 'acked', state: 'ACTIVE_ACKNOWLEDGED' },
        { title: 'low', priority: 'P4' },
        { title: 'critical', priority: 'P1' },
        { title: 'new' },
      ),
    );
    await waitFor(() => {
      expect(titles()).toEqual(['critical', 'new', 'acked', 'low', 'shelved']);
    });
  });

  it('is sorted by a heading when somebody presses it', async () => {
    const { user } = renderApp('/', withIncidents({ title: 'few', count: 2 }, { title: 'many', count: 300 }));
    await waitFor(() => rowOf('few'));
    await user.click(screen.getByRole('button', { name: 'Count' }));
    expect(titles()).toEqual(['many', 'few']);
    expect(screen.getByRole('columnheader', { name: 'Count' })).toHaveAttribute('aria-sort', 'descending');
    await user.click(screen.getByRole('button', { name: 'Count' }));
    expect(titles()).toEqual(['few', 'many']);
  });

  it('shows what a machine wrote as text, whatever it wrote', async () => {
    const title = '<img src=x onerror="alert(1)"> & <b>bold</b>';
    renderApp('/', withIncidents({ title }));
    expect(await screen.findByRole('link', { name: title })).toBeInTheDocument();
    expect(document.querySelector('main img[src]')).toBeNull();
  });

  it('says so when nothing is open', async () => {
    renderApp('/');
    expect(await screen.findByText('Nothing is open')).toBeInTheDocument();
    expect(screen.queryByRole('table')).not.toBeInTheDocument();
  });

  it('says what is wrong when it cannot be read, and tries again when asked', async () => {
    const andon = withIncidents({ title: 'there' });
    const down = () => fault('UNAVAILABLE', 'the relational store cannot be reached');
    andon.fail('OpenIncidents', down(), down(), down());
    const { user } = renderApp('/', andon);
    expect(await screen.findByText('the relational store cannot be reached')).toBeInTheDocument();
    andon.fail('OpenIncidents');
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(await screen.findByRole('link', { name: 'there' })).toBeInTheDocument();
    expect(screen.queryByText('the relational store cannot be reached')).not.toBeInTheDocument();
  });
});

describe('the red strip', () => {
  it('is there only while an incident of priority 1 is open', async () => {
    const { andon } = renderApp('/', withIncidents({ title: 'not critical' }));
    await waitFor(() => rowOf('not critical'));
    expect(screen.queryByRole('region', { name: 'Critical' })).not.toBeInTheDocument();

    const stop = andon.put(anIncident({ id: hexId(9), priority: 'P1', title: 'emergency stop' }));
    const strip = await screen.findByRole('region', { name: 'Critical' });
    expect(strip).toHaveTextContent('1 critical incident is open');
    expect(strip).toHaveTextContent('emergency stop');
    const announced = screen.getByText('Critical: Application wms: emergency stop.');
    expect(announced).toHaveAttribute('aria-live', 'assertive');

    andon.put({ ...stop, state: 'CLOSED', activity: 'CLOSED' });
    await waitFor(() => {
      expect(screen.queryByRole('region', { name: 'Critical' })).not.toBeInTheDocument();
    });
  });
});

describe('the live feed', () => {
  it('opens, changes and closes rows without asking again', async () => {
    const { andon } = renderApp('/');
    await screen.findByText('Nothing is open');
    const asked = andon.asked.length;

    const opened = andon.put(anIncident({ title: 'came live', count: 5 }));
    expect(await waitFor(() => rowOf('came live'))).toHaveTextContent('5');
    const grown = andon.put({ ...opened, count: 42 });
    await waitFor(() => {
      expect(rowOf('came live')).toHaveTextContent('42');
    });
    andon.put({ ...grown, state: 'CLOSED', activity: 'CLOSED' });
    expect(await screen.findByText('Nothing is open')).toBeInTheDocument();
    expect(andon.asked).toHaveLength(asked);
  });

  it('is followed by a full snapshot after a reconnect', async () => {
    const { andon, socket } = renderApp('/', withIncidents({ title: 'closed meanwhile' }));
    await waitFor(() => rowOf('closed meanwhile'));
    socket.cut();
    andon.putSilently({ ...andon.incidents.get(hexId(1))!, state: 'CLOSED', activity: 'CLOSED' });
    andon.putSilently(anIncident({ id: hexId(2), title: 'opened meanwhile' }));
    socket.connect();
    await waitFor(() => {
      expect(titles()).toEqual(['opened meanwhile']);
    });
  });

  it('moves no row away under a pointer', async () => {
    const { andon } = renderApp('/', withIncidents({ title: 'under the pointer', priority: 'P3' }));
    const row = await waitFor(() => rowOf('under the pointer'));
    const frame = row.closest('table')!.parentElement!;
    fireEvent.pointerEnter(frame);
    andon.put(anIncident({ id: hexId(7), title: 'more urgent', priority: 'P1' }));
    await waitFor(() => {
      expect(titles()).toEqual(['under the pointer', 'more urgent']);
    });
    fireEvent.pointerLeave(frame);
    expect(titles()).toEqual(['more urgent', 'under the pointer']);
  });
});

describe('acknowledging', () => {
  const ack = { name: 'Acknowledge: one' };

  it('takes one tap', async () => {
    const { andon, user } = renderApp('/', withIncidents({ title: 'one' }));
    await user.click(await screen.findByRole('button', ack));
    await waitFor(() => {
      expect(rowOf('one')).toHaveTextContent('Active · Acked');
    });
    expect(rowOf('one')).toHaveTextContent('by operator');
    expect(screen.queryByRole('button', ack)).not.toBeInTheDocument();
    expect(andon.incidents.get(hexId(1))?.acknowledged?.by).toBe('operator');
  });

  it('says "not sent yet" without a connection, and is sent once there is one', async () => {
    const { andon, user } = renderApp('/', withIncidents({ title: 'one' }));
    const button = await screen.findByRole('button', ack);
    andon.fail('Acknowledge', new TypeError('Failed to fetch'));
    await user.click(button);
    expect(await screen.findByText(/Not sent yet/)).toBeInTheDocument();
    expect(andon.incidents.get(hexId(1))?.acknowledged).toBeNull();
    act(() => {
      window.dispatchEvent(new Event('online'));
    });
    await waitFor(() => {
      expect(andon.incidents.get(hexId(1))?.acknowledged?.by).toBe('operator');
    });
    expect(screen.queryByText(/Not sent yet/)).not.toBeInTheDocument();
  });

  it('says why when it is refused', async () => {
    const { andon, user } = renderApp('/', withIncidents({ title: 'one' }));
    const button = await screen.findByRole('button', ack);
    andon.fail('Acknowledge', fault('CONFLICT', 'the incident is closed'));
    await user.click(button);
    expect(await screen.findByText(/the incident is closed/)).toHaveAttribute('role', 'alert');
  });
});

describe('the health of Andon itself', () => {
  it('tells what it takes, how far the stores are, and follows the feed', async () => {
    const { andon } = renderApp('/');
    expect(await screen.findByText(/yes, 1,204,377 records/)).toBeInTheDocument();
    expect(screen.getByText('12 entries behind')).toBeInTheDocument();
    andon.setStatus({ accepting: false, notAcceptingReason: 'the journal is full' });
    expect(await screen.findByText('no: the journal is full')).toBeInTheDocument();
    expect(screen.getByRole('img', { name: 'Needs attention' })).toBeInTheDocument();
  });

  it('warns when nobody would be mailed', async () => {
    const { andon } = renderApp('/');
    await screen.findByText(/1,204,377/);
    expect(screen.queryByText('Nobody would be mailed')).not.toBeInTheDocument();
    andon.setStatus({ nobodyWouldBeMailed: 'No route has a recipient.' });
    expect((await screen.findByText('Nobody would be mailed')).closest('[role=alert]')).toHaveTextContent(
      'No route has a recipient.',
    );
  });
});
