// Generated from dashboard-api/src/live/event.rs. Do not edit: ANDON_REGENERATE=1 cargo test -p andon-dashboard-api

export const EVENT = "event";
export const SUBSCRIBE = "subscribe";
export const UNSUBSCRIBE = "unsubscribe";

export type Level = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL";

export type SubjectKind = "DEVICE" | "APPLICATION" | "USER" | "AREA";

export type Priority = "P1" | "P2" | "P3" | "P4";

export type Activity = "ACTIVE" | "RETURNED_TO_NORMAL" | "CLOSED";

export type IncidentState = "ACTIVE_UNACKNOWLEDGED" | "ACTIVE_ACKNOWLEDGED" | "RETURNED_UNACKNOWLEDGED" | "RETURNED_ACKNOWLEDGED" | "SHELVED" | "CLOSED";

export type Position = { epoch: string, seq: number, };

export type Room = "record" | "incident" | "reading" | "status";

export type EventFilter = { application?: string, deviceId?: string, userId?: string, source?: string, itemId?: string, orderId?: string, location?: string, step?: string, traceId?: string, type?: string, level?: Level, minLevel?: Level, 
/**
 * 16 hex digits.
 */
fingerprint?: string, text?: string, 
/**
 * Event time, RFC 3339, included.
 */
from?: string, 
/**
 * Event time, RFC 3339, excluded.
 */
to?: string, 
/**
 * Room `reading`: only this reading.
 */
reading?: string, area?: string, 
/**
 * Room `incident`.
 */
subjectKind?: SubjectKind, 
/**
 * Room `incident`.
 */
subjectId?: string, };

export type Subscribe = { 
/**
 * Chosen by the client: 1 to 64 characters, unique on its socket.
 */
subscription: string, room: Room, filter?: EventFilter, 
/**
 * Go on after this; left out: from now on.
 */
since?: Position, };

export type Unsubscribe = { subscription: string, };

export type Subscribed = { ok: true, position: Position, };

export type RefusedCode = "BAD_INPUT" | "TOO_MANY" | "FORBIDDEN";

export type Refused = { ok: false, code: RefusedCode, message: string, };

export type Reading = { name: string, value: number, };

export type Record = { 
/**
 * 32 hex digits; sorts as the journal does.
 */
recordId: string, timestamp: string, receivedAt: string, 
/**
 * Null for a record of readings only.
 */
level: Level | null, message: string | null, type: string | null, application: string | null, deviceId: string | null, userId: string | null, source: string | null, readings: Array<Reading>, 
/**
 * A JSON object as text; null when there is none.
 */
fields: string | null, 
/**
 * The sender's own id.
 */
id: string | null, itemId: string | null, orderId: string | null, location: string | null, step: string | null, traceId: string | null, spanId: string | null, 
/**
 * 16 hex digits; null where there is no message.
 */
fingerprint: string | null, 
/**
 * What was noticed: `clock_skew`, `nul_replaced`, `time_missing`, `history`, `latin1`, `level_unknown`, `clock_unset`.
 */
flags: Array<string>, 
/**
 * Live feed only: message or fields were cut; ask `record(id)` for the whole.
 */
truncated: boolean, };

export type LiveReading = { deviceId: string | null, application: string | null, name: string, value: number, timestamp: string, };

export type Subject = { kind: SubjectKind, id: string, };

export type Acknowledgement = { at: string, by: string, };

export type Shelving = { until: string, by: string, reason: string, };

export type Occurrence = { 
/**
 * Event time of the first record that belongs to it.
 */
firstAt: string, 
/**
 * Event time at which the condition began to hold.
 */
openedAt: string, 
/**
 * Records that belong to it.
 */
count: number, };

export type LiveIncident = { 
/**
 * 32 hex digits.
 */
id: string, ruleId: string, 
/**
 * Name of the rule, or its id when it is no longer configured.
 */
ruleName: string, subject: Subject, priority: Priority, state: IncidentState, activity: Activity, acknowledged: Acknowledgement | null, shelved: Shelving | null, closedCause: string | null, 
/**
 * Event time of the first record that belongs to it.
 */
firstAt: string, 
/**
 * Event time of the record that breached.
 */
openedAt: string, lastAt: string, returnedAt: string | null, firstRecordId: string, lastRecordId: string, 
/**
 * Records that belong to it, over all occurrences.
 */
count: number, 
/**
 * Occurrences after the first.
 */
reopened: number, 
/**
 * The newest occurrence.
 */
occurrence: Occurrence, maxLevel: Level | null, 
/**
 * For a limit: the worst value of the reading.
 */
peak: number | null, 
/**
 * Message of the newest record.
 */
title: string, 
/**
 * `type` of the newest record.
 */
errorType: string | null, device: string | null, application: string | null, user: string | null, area: string | null, source: string | null, 
/**
 * Found in records that were history when they were judged.
 */
historical: boolean, 
/**
 * Sent as history: nobody is told.
 */
silent: boolean, fingerprintsTruncated: boolean, 
/**
 * Grows with every change of this incident, compared as text: of two copies the greater is the newer.
 */
version: string, };

export type JournalStatus = { bytes: number, quotaBytes: number, lastSeq: number, };

export type SinkStatus = { name: string, 
/**
 * Journal entries that it has not done yet.
 */
lag: number, 
/**
 * What it is stuck at; null when it is well.
 */
error: string | null, };

export type ShardsStatus = { count: number, entities: number, restarts: number, };

export type LiveStatus = { version: string, now: string, startedAt: string, 
/**
 * IANA name of the (first) site's time zone: show times in it. `UTC` when no site is configured.
 */
timeZone: string, siteName: string | null, 
/**
 * False: senders get 503.
 */
accepting: boolean, notAcceptingReason: string | null, 
/**
 * Records accepted since the start.
 */
recordsAccepted: number, journal: JournalStatus, sinks: Array<SinkStatus>, shards: ShardsStatus, openIncidents: number, 
/**
 * Why no e-mail would reach anybody; null when somebody would be mailed.
 */
nobodyWouldBeMailed: string | null, };

export type ResetReason = "restarted" | "too_old";

export type ServerEvent = { "type": "records", subscription: string, position: Position, records: Array<Record>, dropped: number, } | { "type": "incidents", subscription: string, position: Position, incidents: Array<LiveIncident>, } | { "type": "readings", subscription: string, position: Position, readings: Array<LiveReading>, dropped: number, } | { "type": "status", subscription: string, position: Position, status: LiveStatus, } | { "type": "reset", subscription: string, position: Position, reason: ResetReason, };
