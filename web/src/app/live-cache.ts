import type { ApolloCache, ApolloClient } from '@apollo/client';
import type { LiveIncident, LiveStatus, ServerEvent } from '@/gen/events/events';
import {
  IncidentSummaryFragmentDoc,
  OpenIncidentsDocument,
  StatusDocument,
  type IncidentSummaryFragment,
  type StatusQuery,
} from '@/gen/graphql';
import { setServerTime } from '@/lib/clock';
import type { LiveFeed } from '@/lib/live-feed';

/** How many incidents' newest copies are kept; the oldest of them goes first. */
const NEWEST_MAX = 2_000;

/**
 * The one place where an event of the live feed becomes a change of Apollo's cache.
 *
 * An answer to a query may have been read before an event that has already arrived. So the newest copy of each incident
 * is kept here, and laid over every answer that is older ({@link overlay}).
 */
export class LiveCache {
  readonly #cache: ApolloCache;
  readonly #newest = new Map<string, LiveIncident>();

  readonly #newestMax: number;

  constructor(cache: ApolloCache, newestMax = NEWEST_MAX) {
    this.#cache = cache;
    this.#newestMax = newestMax;
  }

  apply(event: ServerEvent): void {
    if (event.type === 'incidents')
      this.#cache.batch({
        update: () => {
          this.#applyIncidents(event.incidents);
        },
      });
    else if (event.type === 'status') this.#applyStatus(event.status);
  }

  /** Before a full snapshot: what was known may have been closed meanwhile. */
  forget(): void {
    this.#newest.clear();
  }

  /** Brings an answer up to what the live feed has already told. */
  readonly overlay = (data: unknown, operation: string | undefined): unknown => {
    const current = this.#overlayIncidents(data);
    if (operation !== 'OpenIncidents' || !isOpenIncidents(current)) return current;
    return { ...current, incidents: { ...current.incidents, nodes: this.#open(current.incidents.nodes) } };
  };

  #applyIncidents(incidents: readonly LiveIncident[]): void {
    for (const incident of incidents) {
      const known = this.#newest.get(incident.id);
      if (known && known.version >= incident.version) continue;
      this.#newest.delete(incident.id);
      this.#newest.set(incident.id, incident);
      const oldest = this.#newest.keys().next();
      if (this.#newest.size > this.#newestMax && oldest.value !== undefined) this.#newest.delete(oldest.value);

      const from = { __typename: 'Incident', id: incident.id } as const;
      const id = this.#cache.identify(from);
      if (id === undefined) continue;
      const fragment = { id, fragment: IncidentSummaryFragmentDoc, fragmentName: 'IncidentSummary' };
      const cached = this.#cache.readFragment<IncidentSummaryFragment>(fragment);
      // Only what a page has asked for is kept: an incident that is neither cached nor open would never be looked at.
      if (cached ? cached.version < incident.version : incident.state !== 'CLOSED') {
        this.#cache.writeFragment({ ...fragment, data: typed(incident) });
      }
    }
    this.#cache.updateQuery({ query: OpenIncidentsDocument }, (data) =>
      data ? { ...data, incidents: { ...data.incidents, nodes: this.#open(data.incidents.nodes) } } : data,
    );
  }

  #applyStatus(status: LiveStatus): void {
    setServerTime(status.now);
    this.#cache.writeQuery({ query: StatusDocument, data: { status: typedStatus(status) } });
  }

  /** The list as the newest copies make it: without those that closed, with those that opened. Newest opened first. */
  #open(nodes: readonly IncidentSummaryFragment[]): IncidentSummaryFragment[] {
    const listed = new Set(nodes.map(({ id }) => id));
    const kept = nodes.filter(({ id, version, state }) => {
      const newest = this.#newest.get(id);
      return (newest && newest.version > version ? newest.state : state) !== 'CLOSED';
    });
    const opened = [...this.#newest.values()]
      .filter(({ id, state }) => state !== 'CLOSED' && !listed.has(id))
      .map(typed);
    return opened.length === 0
      ? kept
      : [...opened, ...kept].sort((a, b) => b.openedAt.localeCompare(a.openedAt) || b.id.localeCompare(a.id));
  }

  #overlayIncidents(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((each) => this.#overlayIncidents(each));
    if (!isObject(value)) return value;
    const newest = value['__typename'] === 'Incident' ? this.#newest.get(String(value['id'])) : undefined;
    const isOlder = newest !== undefined && typeof value['version'] === 'string' && value['version'] < newest.version;
    const over: Record<string, unknown> = isOlder ? typed(newest) : {};
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, name in over ? over[name] : this.#overlayIncidents(member)]),
    );
  }
}

/**
 * Keeps the cache up to date for as long as the page is open. Each time the server takes the subscription, the first time
 * included, everything on the page is asked for again: what changed between an earlier answer and now is never missed.
 */
export function followLive(feed: LiveFeed, client: ApolloClient, live: LiveCache): () => void {
  const snapshot = async () => {
    live.forget();
    // A request that is on its way was perhaps read before the subscription began, and is joined by the first refetch.
    const joins = [...client.getObservableQueries('active')].some((query) => query.getCurrentResult().loading);
    await client.refetchQueries({ include: 'active' });
    if (joins) await client.refetchQueries({ include: 'active' });
  };
  // Each query shows its own error; here there is nothing to add.
  const refresh = () => {
    snapshot().catch(() => undefined);
  };
  const onEvent = (event: ServerEvent) => {
    if (event.type === 'reset') refresh();
    else live.apply(event);
  };
  const stopIncidents = feed.subscribe('incident', undefined, { onEvent, onSubscribed: refresh });
  const stopStatus = feed.subscribe('status', undefined, { onEvent });
  return () => {
    stopIncidents();
    stopStatus();
  };
}

/** The event's object with the type names by which the cache knows its parts. */
function typed(incident: LiveIncident): IncidentSummaryFragment & { __typename: 'Incident' } {
  const { subject, acknowledged, shelved } = incident;
  const parts = {
    __typename: 'Incident' as const,
    subject: { __typename: 'Subject', ...subject },
    acknowledged: acknowledged && { __typename: 'Acknowledgement', ...acknowledged },
    shelved: shelved && { __typename: 'Shelving', ...shelved },
  };
  return { ...incident, ...parts };
}

function typedStatus(status: LiveStatus): StatusQuery['status'] {
  const parts = {
    __typename: 'Status',
    journal: { __typename: 'JournalStatus', ...status.journal },
    sinks: status.sinks.map((sink) => ({ __typename: 'SinkStatus', ...sink })),
    shards: { __typename: 'ShardsStatus', ...status.shards },
  };
  return { ...status, ...parts };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isOpenIncidents(
  data: unknown,
): data is { incidents: { nodes: IncidentSummaryFragment[] } & Record<string, unknown> } & Record<string, unknown> {
  return isObject(data) && isObject(data['incidents']) && Array.isArray(data['incidents']['nodes']);
}
