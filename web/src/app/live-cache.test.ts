import { describe, expect, it } from 'vitest';
import { LiveCache } from '@/app/live-cache';
import type { ServerEvent } from '@/gen/events/events';
import { OpenIncidentsDocument, StatusDocument } from '@/gen/graphql';
import type { Incident } from '@/gen/schema';
import { createCache } from '@/lib/apollo';
import { anIncident, aStatus, hexId, live } from '@/testing/factories';

const version = (n: number) => String(n).padStart(20, '0');

const event = (...incidents: Incident[]): ServerEvent => ({
  type: 'incidents',
  subscription: 'incident-1',
  position: { epoch: 'e', seq: 1 },
  incidents: incidents.map(live),
});

/** As the server answers `OpenIncidents`. */
const answer = (...incidents: Incident[]) => ({
  incidents: {
    __typename: 'IncidentConnection' as const,
    pageInfo: { __typename: 'PageInfo' as const, hasNextPage: false },
    nodes: incidents.map(
      ({ rule: _r, fingerprints: _f, timeline: _t, alerts: _a, deliveries: _d, records: _l, ...summary }) => summary,
    ),
  },
});

function setUp(...incidents: Incident[]) {
  const cache = createCache();
  cache.writeQuery({ query: OpenIncidentsDocument, data: answer(...incidents) });
  const nodes = () => cache.readQuery({ query: OpenIncidentsDocument })!.incidents.nodes;
  return { cache, live: new LiveCache(cache), nodes };
}

const one = anIncident({ id: hexId(1), version: version(10), count: 5 });

describe('LiveCache', () => {
  it('patches an incident by its id', () => {
    const { live: liveCache, nodes } = setUp(one);
    liveCache.apply(event({ ...one, version: version(11), count: 6 }));
    expect(nodes().map(({ id, count }) => [id, count])).toEqual([[hexId(1), 6]]);
  });

  it.each([version(9), version(10)])('keeps what it has when a copy is not newer (%s)', (stale) => {
    const { live: liveCache, nodes } = setUp(one);
    liveCache.apply(event({ ...one, version: stale, count: 99 }));
    expect(nodes()[0]?.count).toBe(5);
  });

  it('puts one that opened into the list, newest first, and takes one that closed out of it', () => {
    const { live: liveCache, nodes } = setUp(one);
    const two = anIncident({ id: hexId(2), version: version(11), openedAt: '2026-11-23T03:00:00.000000Z' });
    liveCache.apply(event(two));
    expect(nodes().map(({ id }) => id)).toEqual([hexId(2), hexId(1)]);
    liveCache.apply(event({ ...one, version: version(12), state: 'CLOSED', activity: 'CLOSED' }));
    expect(nodes().map(({ id }) => id)).toEqual([hexId(2)]);
  });

  it('leaves a list alone that no page has asked for', () => {
    const cache = createCache();
    new LiveCache(cache).apply(event(one));
    expect(cache.readQuery({ query: OpenIncidentsDocument })).toBeNull();
  });

  it('lays newer copies over an answer that was read before them', () => {
    const { live: liveCache } = setUp(one);
    const opened = anIncident({ id: hexId(2), version: version(12), openedAt: '2026-11-23T03:00:00.000000Z' });
    liveCache.apply(event({ ...one, version: version(11), count: 50 }, opened));
    const overlaid = liveCache.overlay(answer(one), 'OpenIncidents') as ReturnType<typeof answer>;
    expect(overlaid.incidents.nodes.map(({ id, count }) => [id, count])).toEqual([
      [hexId(2), 5],
      [hexId(1), 50],
    ]);
    liveCache.apply(event({ ...one, version: version(13), state: 'CLOSED', activity: 'CLOSED' }));
    const later = liveCache.overlay(answer(one), 'OpenIncidents') as ReturnType<typeof answer>;
    expect(later.incidents.nodes.map(({ id }) => id)).toEqual([hexId(2)]);
  });

  it('lets an answer stand that is as new, and touches nothing else of it', () => {
    const { live: liveCache } = setUp(one);
    liveCache.apply(event({ ...one, version: version(11), count: 6 }));
    const newer = answer({ ...one, version: version(12), count: 7 });
    expect(liveCache.overlay(newer, 'OpenIncidents')).toEqual(newer);
    const other = { records: { nodes: [{ __typename: 'Record', recordId: hexId(1), version: version(1) }] } };
    expect(liveCache.overlay(other, 'RecentRecords')).toEqual(other);
  });

  it('adds nothing to a snapshot of which it was told to forget', () => {
    const { live: liveCache } = setUp();
    liveCache.apply(event(one));
    liveCache.forget();
    expect(liveCache.overlay(answer(), 'OpenIncidents')).toEqual(answer());
  });

  it('keeps a bounded number of newest copies', () => {
    const liveCache = new LiveCache(createCache(), 20);
    const many = Array.from({ length: 30 }, (_, n) => anIncident({ id: hexId(n + 1), version: version(n + 1) }));
    liveCache.apply(event(...many));
    const overlaid = liveCache.overlay(answer(), 'OpenIncidents') as ReturnType<typeof answer>;
    expect(overlaid.incidents.nodes).toHaveLength(20);
    expect(overlaid.incidents.nodes.map(({ id }) => id)).toContain(hexId(30));
    expect(overlaid.incidents.nodes.map(({ id }) => id)).not.toContain(hexId(10));
  });

  it('patches the status', () => {
    const { cache, live: liveCache } = setUp();
    const { __typename, ...status } = aStatus({ recordsAccepted: 7 });
    liveCache.apply({ type: 'status', subscription: 's', position: { epoch: 'e', seq: 1 }, status });
    expect(cache.readQuery({ query: StatusDocument })?.status.recordsAccepted).toBe(7);
  });
});
