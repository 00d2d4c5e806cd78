import { buildSchema, graphql, GraphQLError, type ExecutionResult } from 'graphql';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EventFilter, Position, Refused, ServerEvent, Subscribe, Subscribed } from '@/gen/events/events';
import type { Incident, Record as LogRecord, RecordFilter, Status, TimelineKind, Viewer } from '@/gen/schema';
import { aStatus, aTimelineEntry, live, liveRecord } from '@/testing/factories';

/**
 * A dashboard service in memory, for component tests and for looking at the pages without the real one. It runs the real schema
 * on the generated types, so that it cannot answer what the service would not.
 *
 * What differs from the service: no storage, no complexity limits, only records are paged, no time-outs; `text` is one substring; who
 * asks is always the operator on loopback. Failures come by sentinels: a token `expired` or `invalid`, the incident
 * {@link UNAVAILABLE_ID}, and {@link MockAndon.fail} for the next request.
 */
export const UNAVAILABLE_ID = 'f'.repeat(32);

const schema = buildSchema(readFileSync(join(import.meta.dirname, '../../../dashboard-api/schema.graphql'), 'utf8'));
const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

interface Client {
  send: (event: ServerEvent) => void;
  subscriptions: Map<string, Subscribe>;
}

interface Asker {
  token: string | undefined;
}

export class MockAndon {
  readonly incidents = new Map<string, Incident>();
  readonly records: LogRecord[] = [];
  /** Which area the configuration puts a device in. */
  readonly areas = new Map<string, string>();
  /** Records that were sent as answers to `records`. */
  fetched = 0;
  status: Status = aStatus();
  /** Every operation that was asked, in order. */
  readonly asked: { operation: string; variables: Record<string, unknown>; token: string | undefined }[] = [];
  readonly #clients = new Set<Client>();
  readonly #faults = new Map<string, (GraphQLError | TypeError)[]>();
  readonly #epoch = 'mock';
  #seq = 0;
  #version = 100;
  #now: () => string;

  constructor(now: () => string = () => new Date().toISOString()) {
    this.#now = now;
  }

  /** The next requests of this operation get these instead of an answer; a TypeError is a broken connection. */
  fail(operation: string, ...faults: (GraphQLError | TypeError)[]): void {
    this.#faults.set(operation, faults);
  }

  /** An incident opens or changes: stored, and told to whoever follows. */
  put(incident: Incident): Incident {
    this.#version += 1;
    const stored = { ...incident, version: String(this.#version).padStart(20, '0') };
    this.incidents.set(stored.id, stored);
    this.status = { ...this.status, openIncidents: this.#open().length };
    this.#tell('incident', ({ subscription }) => ({
      type: 'incidents',
      subscription,
      position: this.#position(),
      incidents: [live(stored)],
    }));
    return stored;
  }

  /** Changes an incident without telling: as if it had happened while a client was away. */
  putSilently(incident: Incident): void {
    this.#version += 1;
    this.incidents.set(incident.id, { ...incident, version: String(this.#version).padStart(20, '0') });
  }

  append(records: LogRecord[], dropped = 0): void {
    this.records.push(...records);
    this.#tell('record', ({ subscription, filter }) => ({
      type: 'records',
      subscription,
      position: this.#position(),
      records: records.filter((record) => this.#matches(record, filter)).map(liveRecord),
      dropped,
    }));
  }

  setStatus(change: Partial<Status>): void {
    this.status = { ...this.status, ...change };
    this.tellStatus();
  }

  tellStatus(): void {
    const { __typename, journal, sinks, shards, ...rest } = this.status;
    this.#tell('status', ({ subscription }) => ({
      type: 'status',
      subscription,
      position: this.#position(),
      status: {
        ...rest,
        now: this.#now(),
        journal: { bytes: journal.bytes, quotaBytes: journal.quotaBytes, lastSeq: journal.lastSeq },
        sinks: sinks.map(({ name, lag, error }) => ({ name, lag, error })),
        shards: { count: shards.count, entities: shards.entities, restarts: shards.restarts },
      },
    }));
  }

  /** A socket connects. Returns how it subscribes and how it goes. */
  connect(send: (event: ServerEvent) => void) {
    const client: Client = { send, subscriptions: new Map() };
    this.#clients.add(client);
    return {
      subscribe: (request: Subscribe): Subscribed | Refused => {
        if (client.subscriptions.size >= 16)
          return { ok: false, code: 'TOO_MANY', message: 'at most 16 subscriptions' };
        client.subscriptions.set(request.subscription, request);
        return { ok: true, position: this.#position() };
      },
      unsubscribe: (subscription: string) => {
        client.subscriptions.delete(subscription);
        return { ok: true };
      },
      disconnect: () => {
        this.#clients.delete(client);
      },
    };
  }

  get subscriptions(): Subscribe[] {
    return [...this.#clients].flatMap(({ subscriptions }) => [...subscriptions.values()]);
  }

  async execute(body: { query: string; variables?: Record<string, unknown>; operationName?: string }, token?: string) {
    this.asked.push({ operation: body.operationName ?? '', variables: body.variables ?? {}, token });
    const failure = this.#faults.get(body.operationName ?? '')?.shift();
    if (failure instanceof TypeError) throw failure;
    if (failure) return { errors: [failure] } satisfies ExecutionResult;
    return graphql({
      schema,
      source: body.query,
      rootValue: this.#root,
      contextValue: { token } satisfies Asker,
      variableValues: body.variables ?? {},
    });
  }

  /** For `globalThis.fetch` in component tests. */
  readonly fetch: typeof fetch = async (_input, init) => {
    const body = JSON.parse(init?.body as string) as { query: string };
    const token = new Headers(init?.headers).get('andon-link-token') ?? undefined;
    return Response.json(await this.execute(body, token));
  };

  #open(): Incident[] {
    return [...this.incidents.values()]
      .filter(({ state }) => state !== 'CLOSED')
      .sort((a, b) => b.openedAt.localeCompare(a.openedAt));
  }

  #position(): Position {
    return { epoch: this.#epoch, seq: this.#seq };
  }

  #tell(room: Subscribe['room'], event: (request: Subscribe) => ServerEvent): void {
    this.#seq += 1;
    for (const client of this.#clients) {
      for (const request of client.subscriptions.values()) {
        if (request.room === room) client.send(event(request));
      }
    }
  }

  #matches(record: LogRecord, filter: EventFilter | RecordFilter | null | undefined): boolean {
    const area = filter?.area;
    return matches(record, filter ?? undefined) && (area == null || this.areas.get(record.deviceId ?? '') === area);
  }

  readonly #root = {
    incidents: ({ filter, first }: { filter?: { openOnly: boolean }; first: number }, asker: Asker) => {
      forbidLink(asker);
      const all = filter?.openOnly ? this.#open() : [...this.incidents.values()];
      return connection(all.slice(0, first), all.length > first);
    },
    incident: ({ id }: { id: string }, asker: Asker) => {
      checkLink(asker);
      if (id === UNAVAILABLE_ID) throw fault('UNAVAILABLE', 'the relational store cannot be reached');
      return this.incidents.get(id) ?? null;
    },
    records: ({ filter, first, after }: { filter?: RecordFilter; first: number; after?: string }, asker: Asker) => {
      forbidLink(asker);
      const found = this.records.filter((record) => this.#matches(record, filter)).toReversed();
      const start = after == null ? 0 : Number(after) + 1;
      const page = found.slice(start, start + first);
      this.fetched += page.length;
      return connection(page, found.length > start + first, start);
    },
    record: ({ id }: { id: string }) => this.records.find(({ recordId }) => recordId === id) ?? null,
    status: (_: object, asker: Asker) => {
      forbidLink(asker);
      return { ...this.status, now: this.#now() };
    },
    viewer: (_: object, asker: Asker): Viewer => {
      checkLink(asker);
      const byLink = asker.token !== undefined;
      return {
        __typename: 'Viewer',
        name: byLink ? 'anna@plant.example' : 'operator',
        kind: byLink ? 'LINK' : 'LOOPBACK',
        canOperate: true,
        incidentId: null,
        expires: null,
      };
    },
    acknowledge: ({ incidentId, comment }: { incidentId: string; comment?: string }, asker: Asker) => {
      checkLink(asker);
      return this.#change(incidentId, asker, 'ACKNOWLEDGED', comment ?? '', (incident, by) => ({
        acknowledged: { __typename: 'Acknowledgement', at: this.#now(), by },
        state: incident.activity === 'ACTIVE' ? 'ACTIVE_ACKNOWLEDGED' : 'RETURNED_ACKNOWLEDGED',
      }));
    },
    comment: ({ incidentId, text }: { incidentId: string; text: string }, asker: Asker) => {
      forbidLink(asker);
      if (text.trim() === '') throw fault('BAD_INPUT', '`text` is empty');
      return this.#change(incidentId, asker, 'COMMENTED', text, () => ({}));
    },
    shelve: ({ incidentId, until, reason }: { incidentId: string; until: string; reason: string }, asker: Asker) => {
      forbidLink(asker);
      return this.#change(incidentId, asker, 'SHELVED', reason, (_incident, by) => ({
        shelved: { __typename: 'Shelving', until, by, reason },
        state: 'SHELVED',
      }));
    },
    unshelve: ({ incidentId }: { incidentId: string }, asker: Asker) => {
      forbidLink(asker);
      return this.#change(incidentId, asker, 'UNSHELVED', '', ({ activity, acknowledged }) => ({
        shelved: null,
        state: `${activity === 'ACTIVE' ? 'ACTIVE' : 'RETURNED'}_${acknowledged ? '' : 'UN'}ACKNOWLEDGED`,
      }));
    },
    close: ({ incidentId, cause }: { incidentId: string; cause: string }, asker: Asker) => {
      forbidLink(asker);
      return this.#change(incidentId, asker, 'CLOSED', cause, () => ({
        activity: 'CLOSED',
        state: 'CLOSED',
        closedCause: cause,
      }));
    },
  };

  #change(
    id: string,
    asker: Asker,
    kind: TimelineKind,
    text: string,
    change: (incident: Incident, by: string) => Partial<Incident>,
  ) {
    const incident = this.incidents.get(id);
    if (!incident) throw fault('NOT_FOUND', `no incident ${id}`);
    if (incident.state === 'CLOSED' && kind !== 'COMMENTED') throw fault('CONFLICT', 'the incident is closed');
    const who = asker.token === undefined ? 'operator' : 'anna@plant.example';
    const entry = aTimelineEntry({ revision: incident.timeline.length + 1, at: this.#now(), kind, who, text });
    const changed = this.put({ ...incident, ...change(incident, who), timeline: [...incident.timeline, entry] });
    return { __typename: 'OperationResult', incident: changed, applied: true };
  }
}

export function fault(code: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code } });
}

function checkLink({ token }: Asker): void {
  if (token === 'expired') throw fault('LINK_EXPIRED', 'the link has expired');
  if (token === 'invalid') throw fault('LINK_INVALID', 'the link is not valid');
}

function forbidLink({ token }: Asker): void {
  if (token !== undefined) throw fault('FORBIDDEN', 'a link shows its incident only');
}

/** A page whose first entry has the place `start` in the whole. */
function connection<T>(nodes: T[], hasNextPage: boolean, start = 0) {
  const cursors = nodes.map((_, index) => String(start + index));
  return {
    pageInfo: {
      hasPreviousPage: start > 0,
      hasNextPage,
      startCursor: cursors[0] ?? null,
      endCursor: cursors.at(-1) ?? null,
    },
    edges: nodes.map((node, index) => ({ node, cursor: cursors[index] })),
    nodes,
  };
}

function matches(record: LogRecord, filter: EventFilter | RecordFilter | undefined): boolean {
  if (!filter) return true;
  return (
    (filter.userId == null || record.userId === filter.userId) &&
    (filter.from == null || Date.parse(record.timestamp) >= Date.parse(filter.from)) &&
    (filter.application == null || record.application === filter.application) &&
    (filter.deviceId == null || record.deviceId === filter.deviceId) &&
    (filter.minLevel == null || levels.indexOf(record.level ?? '') >= levels.indexOf(filter.minLevel)) &&
    (filter.text == null || (record.message ?? '').toLowerCase().includes(filter.text.toLowerCase()))
  );
}
