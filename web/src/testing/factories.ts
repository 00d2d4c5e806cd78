import type { LiveIncident, Record as LiveRecord } from '@/gen/events/events';
import type { Alert, Delivery, Incident, Record as LogRecord, Rule, Status, TimelineEntry } from '@/gen/schema';

/** 32 hex digits that sort as their number does. */
export function hexId(n: number): string {
  return n.toString(16).padStart(32, '0');
}

export function aRule(change: Partial<Rule> = {}): Rule {
  return {
    __typename: 'Rule',
    id: 'errors-per-application',
    name: 'Errors of an application',
    enabled: true,
    sentence: 'at least 5 records of ERROR or above within 60 s, per application',
    subject: 'APPLICATION',
    priority: 'P2',
    conditionKind: 'COUNT',
    count: { __typename: 'CountCondition', count: 5, withinSeconds: 60 },
    limit: null,
    silenceAfterSeconds: null,
    selector: {
      __typename: 'Selector',
      applications: [],
      devices: [],
      deviceClasses: [],
      areas: [],
      users: [],
      typePrefix: null,
      minLevel: 'ERROR',
      without: [],
      fields: [],
    },
    routeId: 'default',
    tells: ['anna@plant.example'],
    runbook: 'https://wiki.plant.example/wms-deadlock',
    offDelaySeconds: 60,
    reopenWithinSeconds: 900,
    passesThrottle: false,
    safety: false,
    ...change,
  };
}

export function aTimelineEntry(change: Partial<TimelineEntry> = {}): TimelineEntry {
  return {
    __typename: 'TimelineEntry',
    revision: 1,
    at: '2026-11-23T02:31:43.000000Z',
    kind: 'OPENED',
    who: null,
    text: '5 records within 60 s',
    recordId: null,
    ...change,
  };
}

export function anAlert(change: Partial<Alert> = {}): Alert {
  return {
    __typename: 'Alert',
    id: hexId(9_001),
    reason: 'OPENED',
    priority: 'P2',
    errorType: 'AP.deadlock',
    source: null,
    device: null,
    area: null,
    site: null,
    user: null,
    application: 'wms-core',
    level: 'ERROR',
    at: '2026-11-23T02:31:43.000000Z',
    receivedAt: '2026-11-23T02:31:43.010000Z',
    passesThrottle: false,
    historical: false,
    text: 'Deadlock on order table',
    ...change,
  };
}

export function aDelivery(change: Partial<Delivery> = {}): Delivery {
  return {
    __typename: 'Delivery',
    id: 'd1',
    alertId: hexId(9_001),
    channel: 'EMAIL',
    to: 'anna@plant.example',
    state: 'SENT',
    reason: null,
    due: null,
    mutedUntil: null,
    createdAt: '2026-11-23T02:31:43.010000Z',
    updatedAt: '2026-11-23T02:31:43.400000Z',
    ...change,
  };
}

export function anIncident(change: Partial<Incident> = {}): Incident {
  const rule = change.rule === undefined ? aRule() : change.rule;
  return {
    __typename: 'Incident',
    id: hexId(1),
    ruleId: rule?.id ?? 'gone',
    rule,
    ruleName: rule?.name ?? 'gone',
    subject: { __typename: 'Subject', kind: 'APPLICATION', id: 'wms' },
    priority: 'P2',
    state: 'ACTIVE_UNACKNOWLEDGED',
    activity: 'ACTIVE',
    acknowledged: null,
    shelved: null,
    closedCause: null,
    firstAt: '2026-11-23T02:31:01.000000Z',
    openedAt: '2026-11-23T02:31:43.000000Z',
    lastAt: '2026-11-23T02:31:43.000000Z',
    returnedAt: null,
    firstRecordId: hexId(1_001),
    lastRecordId: hexId(1_005),
    count: 5,
    reopened: 0,
    occurrence: {
      __typename: 'Occurrence',
      firstAt: change.firstAt ?? '2026-11-23T02:31:01.000000Z',
      openedAt: change.openedAt ?? '2026-11-23T02:31:43.000000Z',
      count: change.count ?? 5,
    },
    maxLevel: 'ERROR',
    peak: null,
    title: 'Deadlock on order table',
    errorType: 'AP.deadlock',
    device: null,
    application: 'wms',
    user: null,
    area: null,
    source: null,
    historical: false,
    silent: false,
    fingerprints: [
      {
        __typename: 'FingerprintCount',
        fingerprint: '0123456789abcdef',
        count: 5,
        template: 'Deadlock on order table <n>',
      },
    ],
    fingerprintsTruncated: false,
    version: '00000000000000000010',
    timeline: [aTimelineEntry()],
    alerts: [anAlert()],
    deliveries: [aDelivery()],
    records: [],
    ...change,
  };
}

export function aRecord(change: Partial<LogRecord> = {}): LogRecord {
  return {
    __typename: 'Record',
    recordId: hexId(1_001),
    timestamp: '2026-11-23T02:31:01.123456Z',
    receivedAt: '2026-11-23T02:31:01.200000Z',
    level: 'ERROR',
    message: 'Deadlock on order table',
    type: 'AP.deadlock',
    application: 'wms',
    deviceId: null,
    userId: null,
    source: null,
    readings: [],
    fields: null,
    id: null,
    itemId: null,
    orderId: null,
    location: null,
    step: null,
    traceId: null,
    spanId: null,
    fingerprint: '0123456789abcdef',
    flags: [],
    truncated: false,
    ...change,
  };
}

export function aStatus(change: Partial<Status> = {}): Status {
  return {
    __typename: 'Status',
    version: '0.1.0',
    now: '2026-11-23T02:40:00.000000Z',
    startedAt: '2026-11-22T20:00:00.000000Z',
    timeZone: 'Europe/Berlin',
    siteName: 'Werk 2',
    accepting: true,
    notAcceptingReason: null,
    recordsAccepted: 1_204_377,
    journal: { __typename: 'JournalStatus', bytes: 734_003_200, quotaBytes: 4_294_967_296, lastSeq: 88_123 },
    sinks: [
      { __typename: 'SinkStatus', name: 'rows', lag: 0, error: null },
      { __typename: 'SinkStatus', name: 'log_index', lag: 12, error: null },
    ],
    shards: { __typename: 'ShardsStatus', count: 16, entities: 412, restarts: 0 },
    openIncidents: 0,
    nobodyWouldBeMailed: null,
    ...change,
  };
}

/** As the live feed sends it. */
export function live(incident: Incident): LiveIncident {
  const {
    __typename,
    rule,
    fingerprints,
    timeline,
    alerts,
    deliveries,
    records,
    subject,
    acknowledged,
    shelved,
    ...rest
  } = incident;
  return {
    ...rest,
    subject: { kind: subject.kind, id: subject.id },
    acknowledged: acknowledged && { at: acknowledged.at, by: acknowledged.by },
    shelved: shelved && { until: shelved.until, by: shelved.by, reason: shelved.reason },
  };
}

export function liveRecord(record: LogRecord): LiveRecord {
  const { __typename, readings, ...rest } = record;
  return { ...rest, readings: readings.map(({ name, value }) => ({ name, value })) };
}
