// Written by `npm run codegen` from dashboard-api/schema.graphql. Do not edit.
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
/** Does the condition hold? */
export type Activity = 'ACTIVE' | 'CLOSED' | 'RETURNED_TO_NORMAL';

export type ChannelKind = 'EMAIL' | 'SLACK' | 'WEBHOOK';

/**
 * WAITING: nobody has looked at it yet. HELD: the throttle holds it for the next digest. MUTED: a mute window holds it, or held it
 * until the fault was over. NOTICED: in a message that is not out yet. DEAD: given up. SUPPRESSED: never to be told.
 */
export type DeliveryState = 'DEAD' | 'HELD' | 'MUTED' | 'NOTICED' | 'SENT' | 'SUPPRESSED' | 'WAITING';

export type Direction = 'ABOVE' | 'BELOW';

/** The states of ISA-18.2 in one word, the first that applies: closed, shelved, then activity and acknowledgement. */
export type IncidentState =
  | 'ACTIVE_ACKNOWLEDGED'
  | 'ACTIVE_UNACKNOWLEDGED'
  | 'CLOSED'
  | 'RETURNED_ACKNOWLEDGED'
  | 'RETURNED_UNACKNOWLEDGED'
  | 'SHELVED';

export type Level = 'DEBUG' | 'ERROR' | 'FATAL' | 'INFO' | 'TRACE' | 'WARN';

/** P1 critical to P4 low. */
export type Priority = 'P1' | 'P2' | 'P3' | 'P4';

/** Every condition given must hold. */
export type RecordFilter = {
  application?: string | null | undefined;
  /** Every device that the configuration puts in this area. */
  area?: string | null | undefined;
  deviceId?: string | null | undefined;
  /** 16 hex digits. */
  fingerprint?: string | null | undefined;
  /** Event time, included. */
  from?: string | null | undefined;
  itemId?: string | null | undefined;
  level?: Level | null | undefined;
  location?: string | null | undefined;
  minLevel?: Level | null | undefined;
  orderId?: string | null | undefined;
  source?: string | null | undefined;
  step?: string | null | undefined;
  /** Words that the message must all contain; a part in double quotes must stand as it is. */
  text?: string | null | undefined;
  /** Event time, excluded. */
  to?: string | null | undefined;
  traceId?: string | null | undefined;
  /** Whole dotted parts: `equipment.drive` takes `equipment.drive.overcurrent`. */
  type?: string | null | undefined;
  userId?: string | null | undefined;
};

export type SubjectKind = 'APPLICATION' | 'AREA' | 'DEVICE' | 'USER';

export type TimelineKind =
  | 'ACKNOWLEDGED'
  | 'CLOSED'
  | 'COMMENTED'
  | 'NEW_FAULT'
  | 'OPENED'
  | 'RAISED'
  | 'REOPENED'
  | 'RETURNED_TO_NORMAL'
  | 'SHELVED'
  | 'UNSHELVED';

/** How the asker was recognised. */
export type ViewerKind = 'KEY' | 'LINK' | 'LOOPBACK';

export type StatusQueryVariables = Exact<{ [key: string]: never }>;

export type StatusQuery = {
  status: {
    version: string;
    now: string;
    startedAt: string;
    timeZone: string;
    siteName: string | null;
    accepting: boolean;
    notAcceptingReason: string | null;
    recordsAccepted: number;
    openIncidents: number;
    nobodyWouldBeMailed: string | null;
    journal: { bytes: number; quotaBytes: number; lastSeq: number };
    sinks: Array<{ name: string; lag: number; error: string | null }>;
    shards: { count: number; entities: number; restarts: number };
  };
};

export type AcknowledgeMutationVariables = Exact<{
  id: string;
  comment?: string | null | undefined;
}>;

export type AcknowledgeMutation = {
  acknowledge: {
    applied: boolean;
    incident: {
      id: string;
      ruleId: string;
      ruleName: string;
      priority: Priority;
      state: IncidentState;
      activity: Activity;
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
      subject: { kind: SubjectKind; id: string };
      acknowledged: { at: string; by: string } | null;
      shelved: { until: string; by: string; reason: string } | null;
      occurrence: { firstAt: string; openedAt: string; count: number };
      timeline: Array<{
        revision: number;
        at: string;
        kind: TimelineKind;
        who: string | null;
        text: string;
        recordId: string | null;
      }>;
    };
  };
};

export type CommentMutationVariables = Exact<{
  id: string;
  text: string;
}>;

export type CommentMutation = {
  comment: {
    applied: boolean;
    incident: {
      id: string;
      ruleId: string;
      ruleName: string;
      priority: Priority;
      state: IncidentState;
      activity: Activity;
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
      subject: { kind: SubjectKind; id: string };
      acknowledged: { at: string; by: string } | null;
      shelved: { until: string; by: string; reason: string } | null;
      occurrence: { firstAt: string; openedAt: string; count: number };
      timeline: Array<{
        revision: number;
        at: string;
        kind: TimelineKind;
        who: string | null;
        text: string;
        recordId: string | null;
      }>;
    };
  };
};

export type ShelveMutationVariables = Exact<{
  id: string;
  until: string;
  reason: string;
}>;

export type ShelveMutation = {
  shelve: {
    applied: boolean;
    incident: {
      id: string;
      ruleId: string;
      ruleName: string;
      priority: Priority;
      state: IncidentState;
      activity: Activity;
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
      subject: { kind: SubjectKind; id: string };
      acknowledged: { at: string; by: string } | null;
      shelved: { until: string; by: string; reason: string } | null;
      occurrence: { firstAt: string; openedAt: string; count: number };
      timeline: Array<{
        revision: number;
        at: string;
        kind: TimelineKind;
        who: string | null;
        text: string;
        recordId: string | null;
      }>;
    };
  };
};

export type UnshelveMutationVariables = Exact<{
  id: string;
}>;

export type UnshelveMutation = {
  unshelve: {
    applied: boolean;
    incident: {
      id: string;
      ruleId: string;
      ruleName: string;
      priority: Priority;
      state: IncidentState;
      activity: Activity;
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
      subject: { kind: SubjectKind; id: string };
      acknowledged: { at: string; by: string } | null;
      shelved: { until: string; by: string; reason: string } | null;
      occurrence: { firstAt: string; openedAt: string; count: number };
      timeline: Array<{
        revision: number;
        at: string;
        kind: TimelineKind;
        who: string | null;
        text: string;
        recordId: string | null;
      }>;
    };
  };
};

export type CloseMutationVariables = Exact<{
  id: string;
  cause: string;
}>;

export type CloseMutation = {
  close: {
    applied: boolean;
    incident: {
      id: string;
      ruleId: string;
      ruleName: string;
      priority: Priority;
      state: IncidentState;
      activity: Activity;
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
      subject: { kind: SubjectKind; id: string };
      acknowledged: { at: string; by: string } | null;
      shelved: { until: string; by: string; reason: string } | null;
      occurrence: { firstAt: string; openedAt: string; count: number };
      timeline: Array<{
        revision: number;
        at: string;
        kind: TimelineKind;
        who: string | null;
        text: string;
        recordId: string | null;
      }>;
    };
  };
};

export type IncidentSummaryFragment = {
  id: string;
  ruleId: string;
  ruleName: string;
  priority: Priority;
  state: IncidentState;
  activity: Activity;
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
  subject: { kind: SubjectKind; id: string };
  acknowledged: { at: string; by: string } | null;
  shelved: { until: string; by: string; reason: string } | null;
  occurrence: { firstAt: string; openedAt: string; count: number };
};

export type TimelineFragment = {
  timeline: Array<{
    revision: number;
    at: string;
    kind: TimelineKind;
    who: string | null;
    text: string;
    recordId: string | null;
  }>;
};

export type IncidentQueryVariables = Exact<{
  id: string;
}>;

export type IncidentQuery = {
  incident: {
    id: string;
    ruleId: string;
    ruleName: string;
    priority: Priority;
    state: IncidentState;
    activity: Activity;
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
    rule: {
      id: string;
      name: string;
      sentence: string;
      runbook: string | null;
      tells: Array<string>;
      limit: { reading: string; unit: string | null; direction: Direction; bound: number } | null;
    } | null;
    fingerprints: Array<{ fingerprint: string; count: number; template: string }>;
    deliveries: Array<{
      id: string;
      channel: ChannelKind;
      to: string;
      state: DeliveryState;
      reason: string | null;
      due: string | null;
      mutedUntil: string | null;
      updatedAt: string;
    }>;
    records: Array<{
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
      readings: Array<{ name: string; value: number }>;
    }>;
    subject: { kind: SubjectKind; id: string };
    acknowledged: { at: string; by: string } | null;
    shelved: { until: string; by: string; reason: string } | null;
    occurrence: { firstAt: string; openedAt: string; count: number };
    timeline: Array<{
      revision: number;
      at: string;
      kind: TimelineKind;
      who: string | null;
      text: string;
      recordId: string | null;
    }>;
  } | null;
  viewer: { name: string; kind: ViewerKind; canOperate: boolean; incidentId: string | null; expires: string | null };
};

export type OpenIncidentsQueryVariables = Exact<{ [key: string]: never }>;

export type OpenIncidentsQuery = {
  incidents: {
    pageInfo: { hasNextPage: boolean };
    nodes: Array<{
      id: string;
      ruleId: string;
      ruleName: string;
      priority: Priority;
      state: IncidentState;
      activity: Activity;
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
      subject: { kind: SubjectKind; id: string };
      acknowledged: { at: string; by: string } | null;
      shelved: { until: string; by: string; reason: string } | null;
      occurrence: { firstAt: string; openedAt: string; count: number };
    }>;
  };
};

export type RecentRecordsQueryVariables = Exact<{
  filter?: RecordFilter | null | undefined;
  first: number;
  after?: string | null | undefined;
}>;

export type RecentRecordsQuery = {
  records: {
    pageInfo: { hasNextPage: boolean; endCursor: string | null };
    nodes: Array<{
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
      readings: Array<{ name: string; value: number }>;
    }>;
  };
};

export type WholeRecordQueryVariables = Exact<{
  id: string;
}>;

export type WholeRecordQuery = {
  record: {
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
    readings: Array<{ name: string; value: number }>;
  } | null;
};

export type LogRecordFragment = {
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
  readings: Array<{ name: string; value: number }>;
};

export const IncidentSummaryFragmentDoc = {
  kind: 'Document',
  definitions: [
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
  ],
} as unknown as DocumentNode<IncidentSummaryFragment, unknown>;
export const TimelineFragmentDoc = {
  kind: 'Document',
  definitions: [
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<TimelineFragment, unknown>;
export const LogRecordFragmentDoc = {
  kind: 'Document',
  definitions: [
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'LogRecord' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Record' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'timestamp' } },
          { kind: 'Field', name: { kind: 'Name', value: 'receivedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'level' } },
          { kind: 'Field', name: { kind: 'Name', value: 'message' } },
          { kind: 'Field', name: { kind: 'Name', value: 'type' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'deviceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'userId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'readings' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                { kind: 'Field', name: { kind: 'Name', value: 'value' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'fields' } },
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'itemId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'orderId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'location' } },
          { kind: 'Field', name: { kind: 'Name', value: 'step' } },
          { kind: 'Field', name: { kind: 'Name', value: 'traceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'spanId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprint' } },
          { kind: 'Field', name: { kind: 'Name', value: 'flags' } },
          { kind: 'Field', name: { kind: 'Name', value: 'truncated' } },
        ],
      },
    },
  ],
} as unknown as DocumentNode<LogRecordFragment, unknown>;
export const StatusDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'query',
      name: { kind: 'Name', value: 'Status' },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'status' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'version' } },
                { kind: 'Field', name: { kind: 'Name', value: 'now' } },
                { kind: 'Field', name: { kind: 'Name', value: 'startedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'timeZone' } },
                { kind: 'Field', name: { kind: 'Name', value: 'siteName' } },
                { kind: 'Field', name: { kind: 'Name', value: 'accepting' } },
                { kind: 'Field', name: { kind: 'Name', value: 'notAcceptingReason' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordsAccepted' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'journal' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'bytes' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'quotaBytes' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'lastSeq' } },
                    ],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'sinks' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'lag' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'error' } },
                    ],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'shards' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'count' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'entities' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'restarts' } },
                    ],
                  },
                },
                { kind: 'Field', name: { kind: 'Name', value: 'openIncidents' } },
                { kind: 'Field', name: { kind: 'Name', value: 'nobodyWouldBeMailed' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<StatusQuery, StatusQueryVariables>;
export const AcknowledgeDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'mutation',
      name: { kind: 'Name', value: 'Acknowledge' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'comment' } },
          type: { kind: 'NamedType', name: { kind: 'Name', value: 'String' } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledge' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'incidentId' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'comment' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'comment' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'applied' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'incident' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } },
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'Timeline' } },
                    ],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<AcknowledgeMutation, AcknowledgeMutationVariables>;
export const CommentDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'mutation',
      name: { kind: 'Name', value: 'Comment' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'text' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'String' } } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'comment' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'incidentId' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'text' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'text' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'applied' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'incident' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } },
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'Timeline' } },
                    ],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<CommentMutation, CommentMutationVariables>;
export const ShelveDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'mutation',
      name: { kind: 'Name', value: 'Shelve' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'until' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'DateTime' } } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'reason' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'String' } } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelve' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'incidentId' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'until' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'until' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'reason' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'reason' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'applied' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'incident' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } },
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'Timeline' } },
                    ],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<ShelveMutation, ShelveMutationVariables>;
export const UnshelveDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'mutation',
      name: { kind: 'Name', value: 'Unshelve' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'unshelve' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'incidentId' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'applied' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'incident' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } },
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'Timeline' } },
                    ],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<UnshelveMutation, UnshelveMutationVariables>;
export const CloseDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'mutation',
      name: { kind: 'Name', value: 'Close' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'cause' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'String' } } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'close' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'incidentId' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'cause' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'cause' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'applied' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'incident' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } },
                      { kind: 'FragmentSpread', name: { kind: 'Name', value: 'Timeline' } },
                    ],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
  ],
} as unknown as DocumentNode<CloseMutation, CloseMutationVariables>;
export const IncidentDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'query',
      name: { kind: 'Name', value: 'Incident' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'incident' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'id' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } },
                { kind: 'FragmentSpread', name: { kind: 'Name', value: 'Timeline' } },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'rule' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'id' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'sentence' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'runbook' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'tells' } },
                      {
                        kind: 'Field',
                        name: { kind: 'Name', value: 'limit' },
                        selectionSet: {
                          kind: 'SelectionSet',
                          selections: [
                            { kind: 'Field', name: { kind: 'Name', value: 'reading' } },
                            { kind: 'Field', name: { kind: 'Name', value: 'unit' } },
                            { kind: 'Field', name: { kind: 'Name', value: 'direction' } },
                            { kind: 'Field', name: { kind: 'Name', value: 'bound' } },
                          ],
                        },
                      },
                    ],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'fingerprints' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'fingerprint' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'count' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'template' } },
                    ],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'deliveries' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'id' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'channel' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'to' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'state' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'due' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'mutedUntil' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'updatedAt' } },
                    ],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'records' },
                  arguments: [
                    {
                      kind: 'Argument',
                      name: { kind: 'Name', value: 'first' },
                      value: { kind: 'IntValue', value: '20' },
                    },
                  ],
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [{ kind: 'FragmentSpread', name: { kind: 'Name', value: 'LogRecord' } }],
                  },
                },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'viewer' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'canOperate' } },
                { kind: 'Field', name: { kind: 'Name', value: 'incidentId' } },
                { kind: 'Field', name: { kind: 'Name', value: 'expires' } },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'Timeline' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'timeline' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'revision' } },
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'who' } },
                { kind: 'Field', name: { kind: 'Name', value: 'text' } },
                { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'LogRecord' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Record' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'timestamp' } },
          { kind: 'Field', name: { kind: 'Name', value: 'receivedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'level' } },
          { kind: 'Field', name: { kind: 'Name', value: 'message' } },
          { kind: 'Field', name: { kind: 'Name', value: 'type' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'deviceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'userId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'readings' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                { kind: 'Field', name: { kind: 'Name', value: 'value' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'fields' } },
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'itemId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'orderId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'location' } },
          { kind: 'Field', name: { kind: 'Name', value: 'step' } },
          { kind: 'Field', name: { kind: 'Name', value: 'traceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'spanId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprint' } },
          { kind: 'Field', name: { kind: 'Name', value: 'flags' } },
          { kind: 'Field', name: { kind: 'Name', value: 'truncated' } },
        ],
      },
    },
  ],
} as unknown as DocumentNode<IncidentQuery, IncidentQueryVariables>;
export const OpenIncidentsDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'query',
      name: { kind: 'Name', value: 'OpenIncidents' },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'incidents' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'filter' },
                value: {
                  kind: 'ObjectValue',
                  fields: [
                    {
                      kind: 'ObjectField',
                      name: { kind: 'Name', value: 'openOnly' },
                      value: { kind: 'BooleanValue', value: true },
                    },
                  ],
                },
              },
              { kind: 'Argument', name: { kind: 'Name', value: 'first' }, value: { kind: 'IntValue', value: '500' } },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'pageInfo' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [{ kind: 'Field', name: { kind: 'Name', value: 'hasNextPage' } }],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'nodes' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [{ kind: 'FragmentSpread', name: { kind: 'Name', value: 'IncidentSummary' } }],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'IncidentSummary' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Incident' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'ruleName' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'subject' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'kind' } },
                { kind: 'Field', name: { kind: 'Name', value: 'id' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'priority' } },
          { kind: 'Field', name: { kind: 'Name', value: 'state' } },
          { kind: 'Field', name: { kind: 'Name', value: 'activity' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'acknowledged' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'at' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
              ],
            },
          },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'shelved' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'until' } },
                { kind: 'Field', name: { kind: 'Name', value: 'by' } },
                { kind: 'Field', name: { kind: 'Name', value: 'reason' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'closedCause' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'returnedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'firstRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'lastRecordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'count' } },
          { kind: 'Field', name: { kind: 'Name', value: 'reopened' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'occurrence' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'firstAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'openedAt' } },
                { kind: 'Field', name: { kind: 'Name', value: 'count' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'maxLevel' } },
          { kind: 'Field', name: { kind: 'Name', value: 'peak' } },
          { kind: 'Field', name: { kind: 'Name', value: 'title' } },
          { kind: 'Field', name: { kind: 'Name', value: 'errorType' } },
          { kind: 'Field', name: { kind: 'Name', value: 'device' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'user' } },
          { kind: 'Field', name: { kind: 'Name', value: 'area' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          { kind: 'Field', name: { kind: 'Name', value: 'historical' } },
          { kind: 'Field', name: { kind: 'Name', value: 'silent' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprintsTruncated' } },
          { kind: 'Field', name: { kind: 'Name', value: 'version' } },
        ],
      },
    },
  ],
} as unknown as DocumentNode<OpenIncidentsQuery, OpenIncidentsQueryVariables>;
export const RecentRecordsDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'query',
      name: { kind: 'Name', value: 'RecentRecords' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'filter' } },
          type: { kind: 'NamedType', name: { kind: 'Name', value: 'RecordFilter' } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'first' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'Int' } } },
        },
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'after' } },
          type: { kind: 'NamedType', name: { kind: 'Name', value: 'String' } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'records' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'filter' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'filter' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'first' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'first' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'after' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'after' } },
              },
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'order' },
                value: { kind: 'EnumValue', value: 'NEWEST_FIRST' },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'pageInfo' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [
                      { kind: 'Field', name: { kind: 'Name', value: 'hasNextPage' } },
                      { kind: 'Field', name: { kind: 'Name', value: 'endCursor' } },
                    ],
                  },
                },
                {
                  kind: 'Field',
                  name: { kind: 'Name', value: 'nodes' },
                  selectionSet: {
                    kind: 'SelectionSet',
                    selections: [{ kind: 'FragmentSpread', name: { kind: 'Name', value: 'LogRecord' } }],
                  },
                },
              ],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'LogRecord' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Record' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'timestamp' } },
          { kind: 'Field', name: { kind: 'Name', value: 'receivedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'level' } },
          { kind: 'Field', name: { kind: 'Name', value: 'message' } },
          { kind: 'Field', name: { kind: 'Name', value: 'type' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'deviceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'userId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'readings' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                { kind: 'Field', name: { kind: 'Name', value: 'value' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'fields' } },
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'itemId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'orderId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'location' } },
          { kind: 'Field', name: { kind: 'Name', value: 'step' } },
          { kind: 'Field', name: { kind: 'Name', value: 'traceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'spanId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprint' } },
          { kind: 'Field', name: { kind: 'Name', value: 'flags' } },
          { kind: 'Field', name: { kind: 'Name', value: 'truncated' } },
        ],
      },
    },
  ],
} as unknown as DocumentNode<RecentRecordsQuery, RecentRecordsQueryVariables>;
export const WholeRecordDocument = {
  kind: 'Document',
  definitions: [
    {
      kind: 'OperationDefinition',
      operation: 'query',
      name: { kind: 'Name', value: 'WholeRecord' },
      variableDefinitions: [
        {
          kind: 'VariableDefinition',
          variable: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
          type: { kind: 'NonNullType', type: { kind: 'NamedType', name: { kind: 'Name', value: 'ID' } } },
        },
      ],
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'record' },
            arguments: [
              {
                kind: 'Argument',
                name: { kind: 'Name', value: 'id' },
                value: { kind: 'Variable', name: { kind: 'Name', value: 'id' } },
              },
            ],
            selectionSet: {
              kind: 'SelectionSet',
              selections: [{ kind: 'FragmentSpread', name: { kind: 'Name', value: 'LogRecord' } }],
            },
          },
        ],
      },
    },
    {
      kind: 'FragmentDefinition',
      name: { kind: 'Name', value: 'LogRecord' },
      typeCondition: { kind: 'NamedType', name: { kind: 'Name', value: 'Record' } },
      selectionSet: {
        kind: 'SelectionSet',
        selections: [
          { kind: 'Field', name: { kind: 'Name', value: 'recordId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'timestamp' } },
          { kind: 'Field', name: { kind: 'Name', value: 'receivedAt' } },
          { kind: 'Field', name: { kind: 'Name', value: 'level' } },
          { kind: 'Field', name: { kind: 'Name', value: 'message' } },
          { kind: 'Field', name: { kind: 'Name', value: 'type' } },
          { kind: 'Field', name: { kind: 'Name', value: 'application' } },
          { kind: 'Field', name: { kind: 'Name', value: 'deviceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'userId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'source' } },
          {
            kind: 'Field',
            name: { kind: 'Name', value: 'readings' },
            selectionSet: {
              kind: 'SelectionSet',
              selections: [
                { kind: 'Field', name: { kind: 'Name', value: 'name' } },
                { kind: 'Field', name: { kind: 'Name', value: 'value' } },
              ],
            },
          },
          { kind: 'Field', name: { kind: 'Name', value: 'fields' } },
          { kind: 'Field', name: { kind: 'Name', value: 'id' } },
          { kind: 'Field', name: { kind: 'Name', value: 'itemId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'orderId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'location' } },
          { kind: 'Field', name: { kind: 'Name', value: 'step' } },
          { kind: 'Field', name: { kind: 'Name', value: 'traceId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'spanId' } },
          { kind: 'Field', name: { kind: 'Name', value: 'fingerprint' } },
          { kind: 'Field', name: { kind: 'Name', value: 'flags' } },
          { kind: 'Field', name: { kind: 'Name', value: 'truncated' } },
        ],
      },
    },
  ],
} as unknown as DocumentNode<WholeRecordQuery, WholeRecordQueryVariables>;
