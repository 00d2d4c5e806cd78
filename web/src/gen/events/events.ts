// Provisional: the shapes of the contract, until ts-rs writes this file from the Rust enum.
export type Room = 'record' | 'incident' | 'reading' | 'status';
export type Level = 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';
export type SubjectKind = 'DEVICE' | 'APPLICATION' | 'USER' | 'AREA';
export type Priority = 'P1' | 'P2' | 'P3' | 'P4';
export type Activity = 'ACTIVE' | 'RETURNED_TO_NORMAL' | 'CLOSED';
export type IncidentState =
  | 'ACTIVE_UNACKNOWLEDGED'
  | 'ACTIVE_ACKNOWLEDGED'
  | 'RETURNED_UNACKNOWLEDGED'
  | 'RETURNED_ACKNOWLEDGED'
  | 'SHELVED'
  | 'CLOSED';
export type Position = { epoch: string; seq: number };
export type EventFilter = {
  application?: string;
  deviceId?: string;
  userId?: string;
  source?: string;
  itemId?: string;
  orderId?: string;
  location?: string;
  step?: string;
  traceId?: string;
  type?: string;
  level?: Level;
  minLevel?: Level;
  fingerprint?: string;
  text?: string;
  reading?: string;
  area?: string;
  subjectKind?: SubjectKind;
  subjectId?: string;
};
export type Subscribe = { subscription: string; room: Room; filter?: EventFilter; since?: Position };
export type Subscribed = { ok: true; position: Position };
export type Refused = { ok: false; code: 'BAD_INPUT' | 'TOO_MANY' | 'FORBIDDEN'; message: string };
export type Reading = { name: string; value: number };
export type Record = {
  recordId: string;
  timestamp: string;
  receivedAt: string;
  level: Level | null;
  message: string | null;
  type: string | null;
  application: string | null;
  deviceId: string | null;
  userId: string | null;
  source: string | null;
  readings: Array<Reading>;
  fields: string | null;
  id: string | null;
  itemId: string | null;
  orderId: string | null;
  location: string | null;
  step: string | null;
  traceId: string | null;
  spanId: string | null;
  fingerprint: string | null;
  flags: Array<string>;
  truncated: boolean;
};
export type LiveIncident = {
  id: string;
  ruleId: string;
  ruleName: string;
  subject: { kind: SubjectKind; id: string };
  priority: Priority;
  state: IncidentState;
  activity: Activity;
  acknowledged: { at: string; by: string } | null;
  shelved: { until: string; by: string; reason: string } | null;
  closedCause: string | null;
  firstAt: string;
  openedAt: string;
  lastAt: string;
  returnedAt: string | null;
  firstRecordId: string;
  lastRecordId: string;
  count: number;
  reopened: number;
  maxLevel: Level | null;
  peak: number | null;
  title: string;
  errorType: string | null;
  device: string | null;
  application: string | null;
  user: string | null;
  area: string | null;
  source: string | null;
  historical: boolean;
  silent: boolean;
  fingerprintsTruncated: boolean;
  version: string;
};
export type LiveReading = {
  deviceId: string | null;
  application: string | null;
  name: string;
  value: number;
  timestamp: string;
};
export type LiveStatus = {
  version: string;
  now: string;
  startedAt: string;
  timeZone: string;
  siteName: string | null;
  accepting: boolean;
  notAcceptingReason: string | null;
  recordsAccepted: number;
  journal: { bytes: number; quotaBytes: number; lastSeq: number };
  sinks: Array<{ name: string; lag: number; error: string | null }>;
  shards: { count: number; entities: number; restarts: number };
  openIncidents: number;
  nobodyWouldBeMailed: string | null;
};
export type ServerEvent =
  | { type: 'records'; subscription: string; position: Position; records: Array<Record>; dropped: number }
  | { type: 'incidents'; subscription: string; position: Position; incidents: Array<LiveIncident> }
  | { type: 'readings'; subscription: string; position: Position; readings: Array<LiveReading>; dropped: number }
  | { type: 'status'; subscription: string; position: Position; status: LiveStatus }
  | { type: 'reset'; subscription: string; position: Position; reason: 'restarted' | 'too_old' };
