import { screen, waitFor, within } from '@testing-library/react';
import { beforeAll, describe, expect, it } from 'vitest';
import { aDelivery, aRecord, aRule, aTimelineEntry, anIncident, hexId } from '@/testing/factories';
import { fault, MockAndon, UNAVAILABLE_ID } from '@/testing/mock-andon';
import { renderApp } from '@/testing/render-app';

beforeAll(async () => {
  await import('@/app/routes/incident');
});

const id = hexId(1);

function withIncident(change: Parameters<typeof anIncident>[0] = {}) {
  const andon = new MockAndon();
  andon.put(anIncident({ id, ...change }));
  return andon;
}

const mutations = (andon: MockAndon) =>
  andon.asked.filter(({ operation }) => ['Acknowledge', 'Comment', 'Shelve', 'Unshelve', 'Close'].includes(operation));

const panel = (name: string) => screen.findByRole('region', { name });

describe('the page of an incident', () => {
  it.each([
    ['DEVICE', '/live?device_id=x+1'],
    ['APPLICATION', '/live?application=x+1'],
    ['USER', '/live?user_id=x+1'],
    ['AREA', '/live?area=x+1'],
  ] as const)('follows the records of its subject, %s, and of nothing else', async (kind, href) => {
    const subject = { __typename: 'Subject', kind, id: 'x 1' } as const;
    renderApp(`/incidents/${id}`, withIncident({ subject, device: 'CNV-03', application: 'wms' }));
    expect(await screen.findByRole('link', { name: 'Follow live' })).toHaveAttribute('href', href);
  });

  it('tells what, where, how often, since when, and what to do', async () => {
    renderApp(
      `/incidents/${id}`,
      withIncident({
        peak: 108.2,
        rule: aRule({
          limit: {
            __typename: 'LimitCondition',
            reading: 'bearing',
            unit: '°C',
            direction: 'ABOVE',
            bound: 95,
            deadband: 2,
            onDelaySeconds: 30,
          },
        }),
        records: [aRecord({ message: 'the last line' })],
        timeline: [
          aTimelineEntry(),
          aTimelineEntry({ revision: 2, kind: 'COMMENTED', who: 'maria', text: 'on my way' }),
        ],
      }),
    );
    expect(await screen.findByRole('heading', { level: 1, name: 'Deadlock on order table' })).toBeInTheDocument();
    expect(screen.getByText(/5 records under “Errors of an application”/)).toBeInTheDocument();
    const facts = await panel('What is known');
    await within(facts).findByText('Peak of bearing');
    expect(facts).toHaveTextContent('108.2 °Climit: above 95 °C');
    expect(within(facts).getByText('anna@plant.example')).toBeInTheDocument();
    expect(within(facts).getByRole('link', { name: /wms-deadlock/ })).toHaveAttribute('rel', 'noreferrer noopener');
    expect(within(await panel('Last lines')).getByText('the last line')).toBeInTheDocument();
    expect(await panel('Who was told')).toHaveTextContent(/anna@plant\.example.*Told by e-mail/);
    const entries = within(await panel('Timeline')).getAllByRole('listitem');
    expect(entries.map((entry) => entry.textContent)).toEqual([
      expect.stringMatching(/^Comment.*by mariaon my way/),
      expect.stringMatching(/^Opened/),
    ]);
  });

  it('changes nothing by being opened', async () => {
    const andon = withIncident();
    renderApp(`/incidents/${id}?token=good`, andon);
    await screen.findByRole('heading', { level: 1 });
    await panel('Timeline');
    expect(mutations(andon)).toEqual([]);
    expect(andon.incidents.get(id)?.acknowledged).toBeNull();
  });

  it('does not make a link of an address that is none', async () => {
    renderApp(`/incidents/${id}`, withIncident({ rule: aRule({ runbook: 'javascript:alert(1)' }) }));
    expect(await screen.findByText('javascript:alert(1)')).toBeInTheDocument();
    expect(screen.queryByRole('link', { name: /javascript/ })).not.toBeInTheDocument();
  });

  it('says who was not told, and why', async () => {
    renderApp(
      `/incidents/${id}`,
      withIncident({
        deliveries: [
          aDelivery({ id: 'd1', to: 'bert@plant.example', state: 'MUTED', reason: 'line 3 is serviced' }),
          aDelivery({ id: 'd2', to: 'slack-ops', channel: 'SLACK', state: 'DEAD', reason: 'HTTP 410' }),
        ],
      }),
    );
    const told = await panel('Who was told');
    expect(told).toHaveTextContent(/slack-ops.*Could not be told by Slack: HTTP 410/);
    expect(told).toHaveTextContent(/bert@plant\.example.*Muted by e-mail: line 3 is serviced/);
  });

  it('is acknowledged by one tap', async () => {
    const { andon, user } = renderApp(`/incidents/${id}`, withIncident());
    await user.click(await screen.findByRole('button', { name: /^Acknowledge: / }));
    expect(await screen.findByText(/by operator,/)).toBeInTheDocument();
    expect(mutations(andon)).toMatchObject([{ operation: 'Acknowledge', variables: { id }, token: undefined }]);
    expect(within(await panel('Timeline')).getByText('Acknowledged')).toBeInTheDocument();
  });

  it('takes a comment', async () => {
    const { user } = renderApp(`/incidents/${id}`, withIncident());
    const text = await screen.findByRole('textbox', { name: 'Comment' });
    expect(screen.getByRole('button', { name: 'Add comment' })).toBeDisabled();
    await user.type(text, 'looked at it');
    await user.click(screen.getByRole('button', { name: 'Add comment' }));
    expect(await within(await panel('Timeline')).findByText('looked at it')).toBeInTheDocument();
    await waitFor(() => {
      expect(text).toHaveValue('');
    });
  });

  it('keeps what was written when it could not be sent', async () => {
    const { andon, user } = renderApp(`/incidents/${id}`, withIncident());
    const text = await screen.findByRole('textbox', { name: 'Comment' });
    await panel('Timeline');
    await user.type(text, 'looked at it');
    andon.fail('Comment', new TypeError('Failed to fetch'));
    await user.click(screen.getByRole('button', { name: 'Add comment' }));
    expect(await screen.findByText('Andon cannot be reached.')).toBeInTheDocument();
    expect(text).toHaveValue('looked at it');
  });

  it('is closed with a cause only', async () => {
    const { andon, user } = renderApp(`/incidents/${id}`, withIncident());
    await user.click(await screen.findByText('Close with a cause'));
    const close = screen.getByRole('button', { name: 'Close the incident' });
    expect(close).toBeDisabled();
    await user.selectOptions(screen.getByRole('combobox', { name: 'Cause' }), 'Cleaned');
    await user.type(screen.getByRole('textbox', { name: /What was done/ }), 'photo-eye');
    await user.click(close);
    expect(await screen.findByText('Closed', { selector: 'header span' })).toBeInTheDocument();
    expect(andon.incidents.get(id)?.closedCause).toBe('Cleaned: photo-eye');
    expect(screen.queryByText('Close with a cause')).not.toBeInTheDocument();
  });

  it('is shelved for a time with a reason, and unshelved', async () => {
    const { andon, user } = renderApp(`/incidents/${id}`, withIncident());
    await user.click(await screen.findByText(/^Shelve:/));
    await user.click(screen.getByRole('button', { name: '4 h' }));
    await user.type(screen.getByRole('textbox', { name: 'Reason' }), 'cleaning');
    await user.click(screen.getByRole('button', { name: 'Shelve' }));
    await user.click(await screen.findByRole('button', { name: 'Unshelve' }));
    await waitFor(() => {
      expect(andon.incidents.get(id)?.state).toBe('ACTIVE_UNACKNOWLEDGED');
    });
    const [shelve] = mutations(andon);
    expect(shelve?.variables).toMatchObject({ id, reason: 'cleaning' });
  });

  it('follows the live feed: summary at once, timeline soon after', async () => {
    const { andon } = renderApp(`/incidents/${id}`, withIncident());
    await panel('Timeline');
    await screen.findByText('5 records within 60 s');
    const now = andon.incidents.get(id)!;
    andon.put({
      ...now,
      count: 1_500,
      occurrence: { ...now.occurrence, count: 1_500 },
      timeline: [...now.timeline, aTimelineEntry({ revision: 2, kind: 'NEW_FAULT', text: 'Lock wait timeout' })],
    });
    expect(await screen.findByText(/1,500 records under/)).toBeInTheDocument();
    expect(await screen.findByText('Lock wait timeout')).toBeInTheDocument();
  });

  it('says so when there is no such incident', async () => {
    renderApp(`/incidents/${hexId(77)}`);
    expect(await screen.findByText('This incident is not here')).toBeInTheDocument();
  });

  it('says so when a store is down, and offers to try again', async () => {
    renderApp(`/incidents/${UNAVAILABLE_ID}`);
    expect(await screen.findByText('Andon cannot reach one of its stores.')).toBeInTheDocument();
    expect(screen.getByRole('button', { name: 'Try again' })).toBeInTheDocument();
  });
});

describe('the link of an e-mail', () => {
  it('asks as the recipient for this incident, and for nothing else', async () => {
    const { andon } = renderApp(`/incidents/${id}?token=good`, withIncident());
    await panel('Timeline');
    for (const { operation, token } of andon.asked) {
      expect([operation, token]).toEqual([operation, operation === 'Incident' ? 'good' : undefined]);
    }
    expect(await screen.findByText('in the name of anna@plant.example')).toBeInTheDocument();
  });

  it('acknowledges in the name of the recipient', async () => {
    const { andon, user } = renderApp(`/incidents/${id}?token=good`, withIncident());
    await user.click(await screen.findByRole('button', { name: /^Acknowledge: / }));
    expect(await screen.findByText(/by anna@plant\.example,/)).toBeInTheDocument();
    expect(mutations(andon)).toMatchObject([{ operation: 'Acknowledge', token: 'good' }]);
  });

  it('takes a comment with the acknowledgement and offers nothing that needs sign-in', async () => {
    const { andon, user } = renderApp(`/incidents/${id}?token=good`, withIncident());
    await user.type(await screen.findByRole('textbox', { name: 'Comment' }), 'going there');
    expect(screen.queryByText('Close with a cause')).not.toBeInTheDocument();
    await user.click(screen.getByRole('button', { name: 'Acknowledge with this comment' }));
    expect(await screen.findByText(/Nothing more can be done with this link/)).toBeInTheDocument();
    expect(mutations(andon)).toMatchObject([{ variables: { id, comment: 'going there' }, token: 'good' }]);
  });

  it('leads into the dashboard when it has expired', async () => {
    renderApp(`/incidents/${id}?token=expired`, withIncident());
    expect(await screen.findByText('This link has expired.')).toBeInTheDocument();
    expect(screen.getByRole('link', { name: 'Open this incident in the dashboard' })).toHaveAttribute(
      'href',
      `/incidents/${id}`,
    );
    expect(screen.queryByRole('button', { name: /^Acknowledge/ })).not.toBeInTheDocument();
  });

  it('says so when it is not valid', async () => {
    renderApp(`/incidents/${id}?token=invalid`, withIncident());
    expect(await screen.findByText('This link is not valid.')).toBeInTheDocument();
  });

  it('says that sign-in is needed where it is', async () => {
    const andon = new MockAndon();
    for (const operation of ['Incident', 'Status', 'OpenIncidents']) {
      andon.fail(operation, ...Array.from({ length: 5 }, () => fault('UNAUTHENTICATED', 'who are you?')));
    }
    renderApp(`/incidents/${id}`, andon);
    expect(await screen.findByText('Sign-in needed.')).toBeInTheDocument();
  });
});
