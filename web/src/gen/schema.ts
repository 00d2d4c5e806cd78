// Written by `npm run codegen` from dashboard-api/schema.graphql. Do not edit.
export type Maybe<T> = T | null;
export type InputMaybe<T> = Maybe<T>;
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string };
  String: { input: string; output: string };
  Boolean: { input: boolean; output: boolean };
  Int: { input: number; output: number };
  Float: { input: number; output: number };
  DateTime: { input: string; output: string };
  Long: { input: number; output: number };
};

export type Acknowledgement = {
  __typename: 'Acknowledgement';
  at: Scalars['DateTime']['output'];
  by: Scalars['String']['output'];
};

/** Does the condition hold? */
export type Activity = 'ACTIVE' | 'CLOSED' | 'RETURNED_TO_NORMAL';

export type Alert = {
  __typename: 'Alert';
  application: Maybe<Scalars['String']['output']>;
  area: Maybe<Scalars['String']['output']>;
  at: Scalars['DateTime']['output'];
  device: Maybe<Scalars['String']['output']>;
  /** What its own record named; the record that opened the incident may have named another device. */
  errorType: Maybe<Scalars['String']['output']>;
  historical: Scalars['Boolean']['output'];
  id: Scalars['ID']['output'];
  level: Maybe<Level>;
  passesThrottle: Scalars['Boolean']['output'];
  priority: Priority;
  reason: AlertReason;
  receivedAt: Scalars['DateTime']['output'];
  site: Maybe<Scalars['String']['output']>;
  source: Maybe<Scalars['String']['output']>;
  text: Scalars['String']['output'];
  user: Maybe<Scalars['String']['output']>;
};

export type AlertReason = 'NEW_FAULT' | 'OPENED' | 'RAISED' | 'REOPENED' | 'REPEAT';

export type Application = {
  __typename: 'Application';
  firstSeen: Scalars['DateTime']['output'];
  id: Scalars['String']['output'];
};

export type ApplicationConnection = {
  __typename: 'ApplicationConnection';
  /** A list of edges. */
  edges: Array<ApplicationEdge>;
  /** A list of nodes. */
  nodes: Array<Application>;
  /** Information to aid in pagination. */
  pageInfo: PageInfo;
};

/** An edge in a connection. */
export type ApplicationEdge = {
  __typename: 'ApplicationEdge';
  /** A cursor for use in pagination */
  cursor: Scalars['String']['output'];
  /** The item at the end of the edge */
  node: Application;
};

export type ChannelKind = 'EMAIL' | 'SLACK' | 'WEBHOOK';

export type ConditionKind = 'COUNT' | 'LIMIT' | 'SILENCE';

export type CountCondition = {
  __typename: 'CountCondition';
  count: Scalars['Int']['output'];
  withinSeconds: Scalars['Float']['output'];
};

/** One alert for one person or channel, and what became of it. */
export type Delivery = {
  __typename: 'Delivery';
  alertId: Scalars['ID']['output'];
  channel: ChannelKind;
  createdAt: Scalars['DateTime']['output'];
  /** When it is looked at again, for HELD and MUTED. */
  due: Maybe<Scalars['DateTime']['output']>;
  id: Scalars['ID']['output'];
  mutedUntil: Maybe<Scalars['DateTime']['output']>;
  /** The mute window that holds or held it, or why it is dead or suppressed. */
  reason: Maybe<Scalars['String']['output']>;
  state: DeliveryState;
  /** The person, or the name of the channel. */
  to: Scalars['String']['output'];
  updatedAt: Scalars['DateTime']['output'];
};

/**
 * WAITING: nobody has looked at it yet. HELD: the throttle holds it for the next digest. MUTED: a mute window holds it, or held it
 * until the fault was over. NOTICED: in a message that is not out yet. DEAD: given up. SUPPRESSED: never to be told.
 */
export type DeliveryState = 'DEAD' | 'HELD' | 'MUTED' | 'NOTICED' | 'SENT' | 'SUPPRESSED' | 'WAITING';

export type Device = {
  __typename: 'Device';
  area: Maybe<Scalars['String']['output']>;
  /** False until it has a place in the plant: it registered itself with its first record. */
  assigned: Scalars['Boolean']['output'];
  class: Maybe<Scalars['String']['output']>;
  firstSeen: Scalars['DateTime']['output'];
  /** The device through which this one reaches us. */
  gateway: Maybe<Scalars['String']['output']>;
  id: Scalars['String']['output'];
  line: Maybe<Scalars['String']['output']>;
  site: Maybe<Scalars['String']['output']>;
};

export type DeviceConnection = {
  __typename: 'DeviceConnection';
  /** A list of edges. */
  edges: Array<DeviceEdge>;
  /** A list of nodes. */
  nodes: Array<Device>;
  /** Information to aid in pagination. */
  pageInfo: PageInfo;
};

/** An edge in a connection. */
export type DeviceEdge = {
  __typename: 'DeviceEdge';
  /** A cursor for use in pagination */
  cursor: Scalars['String']['output'];
  /** The item at the end of the edge */
  node: Device;
};

export type Direction = 'ABOVE' | 'BELOW';

export type FieldEquals = {
  __typename: 'FieldEquals';
  name: Scalars['String']['output'];
  value: Scalars['String']['output'];
};

export type FingerprintCount = {
  __typename: 'FingerprintCount';
  count: Scalars['Long']['output'];
  /** 16 hex digits. */
  fingerprint: Scalars['String']['output'];
  /** The message with its variable parts masked. */
  template: Scalars['String']['output'];
};

/** One problem of one subject under one rule. What needs a store of its own is resolved in `graphql::incident`. */
export type Incident = {
  __typename: 'Incident';
  acknowledged: Maybe<Acknowledgement>;
  activity: Activity;
  alerts: Array<Alert>;
  application: Maybe<Scalars['String']['output']>;
  area: Maybe<Scalars['String']['output']>;
  closedCause: Maybe<Scalars['String']['output']>;
  /** Records that belong to it, over all occurrences. */
  count: Scalars['Long']['output'];
  /** Who was told, or why not; oldest first. */
  deliveries: Array<Delivery>;
  device: Maybe<Scalars['String']['output']>;
  /** `type` of the newest record. */
  errorType: Maybe<Scalars['String']['output']>;
  /** The most frequent first. */
  fingerprints: Array<FingerprintCount>;
  fingerprintsTruncated: Scalars['Boolean']['output'];
  /** Event time of the first record that belongs to it. */
  firstAt: Scalars['DateTime']['output'];
  firstRecordId: Scalars['ID']['output'];
  /** Found in records that were history when they were judged. */
  historical: Scalars['Boolean']['output'];
  /** 32 hex digits. */
  id: Scalars['ID']['output'];
  lastAt: Scalars['DateTime']['output'];
  lastRecordId: Scalars['ID']['output'];
  maxLevel: Maybe<Level>;
  /** The newest occurrence. */
  occurrence: Occurrence;
  /** Event time of the record that breached. */
  openedAt: Scalars['DateTime']['output'];
  /** For a limit: the worst value of the reading. */
  peak: Maybe<Scalars['Float']['output']>;
  priority: Priority;
  /** The newest log records of its subject up to its last record, newest first. `first` is 1 to 100. */
  records: Array<Record>;
  /** Occurrences after the first. */
  reopened: Scalars['Int']['output'];
  returnedAt: Maybe<Scalars['DateTime']['output']>;
  /** Null when the rule is no longer configured. */
  rule: Maybe<Rule>;
  ruleId: Scalars['String']['output'];
  /** Name of the rule, or its id when it is no longer configured. */
  ruleName: Scalars['String']['output'];
  shelved: Maybe<Shelving>;
  /** Sent as history: nobody is told. */
  silent: Scalars['Boolean']['output'];
  source: Maybe<Scalars['String']['output']>;
  state: IncidentState;
  subject: Subject;
  /** Oldest first. */
  timeline: Array<TimelineEntry>;
  /** Message of the newest record. */
  title: Scalars['String']['output'];
  user: Maybe<Scalars['String']['output']>;
  /** Grows with every change of this incident, compared as text: of two copies the greater is the newer. */
  version: Scalars['String']['output'];
};

/** One problem of one subject under one rule. What needs a store of its own is resolved in `graphql::incident`. */
export type IncidentRecordsArgs = {
  first?: Scalars['Int']['input'];
};

export type IncidentConnection = {
  __typename: 'IncidentConnection';
  /** A list of edges. */
  edges: Array<IncidentEdge>;
  /** A list of nodes. */
  nodes: Array<Incident>;
  /** Information to aid in pagination. */
  pageInfo: PageInfo;
};

/** An edge in a connection. */
export type IncidentEdge = {
  __typename: 'IncidentEdge';
  /** A cursor for use in pagination */
  cursor: Scalars['String']['output'];
  /** The item at the end of the edge */
  node: Incident;
};

/** Every condition given must hold. */
export type IncidentFilter = {
  area?: InputMaybe<Scalars['String']['input']>;
  /** Not closed. */
  openOnly?: Scalars['Boolean']['input'];
  openedFrom?: InputMaybe<Scalars['DateTime']['input']>;
  openedTo?: InputMaybe<Scalars['DateTime']['input']>;
  /** Id of the rule. */
  rule?: InputMaybe<Scalars['String']['input']>;
  subjectId?: InputMaybe<Scalars['String']['input']>;
  subjectKind?: InputMaybe<SubjectKind>;
};

/** The states of ISA-18.2 in one word, the first that applies: closed, shelved, then activity and acknowledgement. */
export type IncidentState =
  | 'ACTIVE_ACKNOWLEDGED'
  | 'ACTIVE_UNACKNOWLEDGED'
  | 'CLOSED'
  | 'RETURNED_ACKNOWLEDGED'
  | 'RETURNED_UNACKNOWLEDGED'
  | 'SHELVED';

export type JournalStatus = {
  __typename: 'JournalStatus';
  bytes: Scalars['Long']['output'];
  lastSeq: Scalars['Long']['output'];
  quotaBytes: Scalars['Long']['output'];
};

export type Level = 'DEBUG' | 'ERROR' | 'FATAL' | 'INFO' | 'TRACE' | 'WARN';

export type LimitCondition = {
  __typename: 'LimitCondition';
  bound: Scalars['Float']['output'];
  deadband: Scalars['Float']['output'];
  direction: Direction;
  onDelaySeconds: Scalars['Float']['output'];
  reading: Scalars['String']['output'];
  unit: Maybe<Scalars['String']['output']>;
};

export type Mutation = {
  __typename: 'Mutation';
  /** Acknowledging what is acknowledged changes nothing and is no error; a comment is added all the same. */
  acknowledge: OperationResult;
  close: OperationResult;
  comment: OperationResult;
  /** Until a time in the future, at most 8 hours ahead. */
  shelve: OperationResult;
  unshelve: OperationResult;
};

export type MutationAcknowledgeArgs = {
  incidentId: Scalars['ID']['input'];
  comment?: InputMaybe<Scalars['String']['input']>;
};

export type MutationCloseArgs = {
  incidentId: Scalars['ID']['input'];
  cause: Scalars['String']['input'];
};

export type MutationCommentArgs = {
  incidentId: Scalars['ID']['input'];
  text: Scalars['String']['input'];
};

export type MutationShelveArgs = {
  incidentId: Scalars['ID']['input'];
  until: Scalars['DateTime']['input'];
  reason: Scalars['String']['input'];
};

export type MutationUnshelveArgs = {
  incidentId: Scalars['ID']['input'];
};

/** One stretch of an incident, from its breach until it returns to normal. */
export type Occurrence = {
  __typename: 'Occurrence';
  /** Records that belong to it. */
  count: Scalars['Long']['output'];
  /** Event time of the first record that belongs to it. */
  firstAt: Scalars['DateTime']['output'];
  /** Event time at which the condition began to hold. */
  openedAt: Scalars['DateTime']['output'];
};

/** The incident as it is now. */
export type OperationResult = {
  __typename: 'OperationResult';
  /** False: the change is in the journal and will be done, but the incident does not show it yet. */
  applied: Scalars['Boolean']['output'];
  incident: Incident;
};

/** Information about pagination in a connection */
export type PageInfo = {
  __typename: 'PageInfo';
  /** When paginating forwards, the cursor to continue. */
  endCursor: Maybe<Scalars['String']['output']>;
  /** When paginating forwards, are there more items? */
  hasNextPage: Scalars['Boolean']['output'];
  /** When paginating backwards, are there more items? */
  hasPreviousPage: Scalars['Boolean']['output'];
  /** When paginating backwards, the cursor to continue. */
  startCursor: Maybe<Scalars['String']['output']>;
};

/** P1 critical to P4 low. */
export type Priority = 'P1' | 'P2' | 'P3' | 'P4';

export type QuarantinedRecord = {
  __typename: 'QuarantinedRecord';
  /** The first 4 KiB of what was sent. */
  excerpt: Scalars['String']['output'];
  field: Scalars['String']['output'];
  /** Journal sequence and index: `seq:index`. */
  id: Scalars['ID']['output'];
  keyId: Scalars['String']['output'];
  reason: Scalars['String']['output'];
  receivedAt: Scalars['DateTime']['output'];
  /** Who refused it: `gateway`, `log_index`, `relational`, `judging`. */
  stage: Scalars['String']['output'];
};

export type Query = {
  __typename: 'Query';
  /** By id. */
  applications: ApplicationConnection;
  /** By id. */
  devices: DeviceConnection;
  incident: Maybe<Incident>;
  /** Newest opened first. `first` is 1 to 1000. */
  incidents: IncidentConnection;
  /** Records that were not taken, newest first. */
  quarantine: Array<QuarantinedRecord>;
  /**
   * The last log records of an application, as they came in, the last first. At most 100 are kept of each application, none larger
   * than 64 KiB; `records` has all. `first` is 1 to 1000.
   */
  recentRecords: Array<Record>;
  record: Maybe<Record>;
  recordCount: Scalars['Long']['output'];
  /** Log records. `first` is 1 to 1000. */
  records: RecordConnection;
  /** Minutes of one reading of one device, oldest first; `from` included, `to` excluded, at most 7 days apart. */
  rollups: Array<Rollup>;
  rules: Array<Rule>;
  status: Status;
  /**
   * Raw readings of one device, oldest first; `from` included, `to` excluded, by event time. Left out, `to` is now and `from` 15
   * minutes before `to`. They are kept for 15 minutes unless the configuration says otherwise; `rollups` goes further back. Where
   * there are more than `points` (1 to 100000), the least and greatest of each stretch stand for it.
   */
  trace: Array<TracePoint>;
  viewer: Viewer;
};

export type QueryApplicationsArgs = {
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

export type QueryDevicesArgs = {
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

export type QueryIncidentArgs = {
  id: Scalars['ID']['input'];
};

export type QueryIncidentsArgs = {
  filter?: InputMaybe<IncidentFilter>;
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

export type QueryQuarantineArgs = {
  first?: Scalars['Int']['input'];
};

export type QueryRecentRecordsArgs = {
  application: Scalars['String']['input'];
  first?: Scalars['Int']['input'];
};

export type QueryRecordArgs = {
  id: Scalars['ID']['input'];
};

export type QueryRecordCountArgs = {
  filter?: InputMaybe<RecordFilter>;
};

export type QueryRecordsArgs = {
  filter?: InputMaybe<RecordFilter>;
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
  order?: RecordOrder;
};

export type QueryRollupsArgs = {
  device: Scalars['String']['input'];
  reading: Scalars['String']['input'];
  from: Scalars['DateTime']['input'];
  to: Scalars['DateTime']['input'];
};

export type QueryTraceArgs = {
  deviceId: Scalars['String']['input'];
  reading: Scalars['String']['input'];
  from?: InputMaybe<Scalars['DateTime']['input']>;
  to?: InputMaybe<Scalars['DateTime']['input']>;
  points?: Scalars['Int']['input'];
};

export type Reading = {
  __typename: 'Reading';
  name: Scalars['String']['output'];
  value: Scalars['Float']['output'];
};

/** A log record, or a record of readings. */
export type Record = {
  __typename: 'Record';
  application: Maybe<Scalars['String']['output']>;
  deviceId: Maybe<Scalars['String']['output']>;
  /** A JSON object as text; null when there is none. */
  fields: Maybe<Scalars['String']['output']>;
  /** 16 hex digits; null where there is no message. */
  fingerprint: Maybe<Scalars['String']['output']>;
  /** What was noticed: `clock_skew`, `nul_replaced`, `time_missing`, `history`, `latin1`, `level_unknown`, `clock_unset`. */
  flags: Array<Scalars['String']['output']>;
  /** The sender's own id. */
  id: Maybe<Scalars['String']['output']>;
  itemId: Maybe<Scalars['String']['output']>;
  /** Null for a record of readings only. */
  level: Maybe<Level>;
  location: Maybe<Scalars['String']['output']>;
  message: Maybe<Scalars['String']['output']>;
  orderId: Maybe<Scalars['String']['output']>;
  readings: Array<Reading>;
  receivedAt: Scalars['DateTime']['output'];
  /** 32 hex digits; sorts as the journal does. */
  recordId: Scalars['ID']['output'];
  source: Maybe<Scalars['String']['output']>;
  spanId: Maybe<Scalars['String']['output']>;
  step: Maybe<Scalars['String']['output']>;
  timestamp: Scalars['DateTime']['output'];
  traceId: Maybe<Scalars['String']['output']>;
  /** Live feed only: message or fields were cut; ask `record(id)` for the whole. */
  truncated: Scalars['Boolean']['output'];
  type: Maybe<Scalars['String']['output']>;
  userId: Maybe<Scalars['String']['output']>;
};

export type RecordConnection = {
  __typename: 'RecordConnection';
  /** A list of edges. */
  edges: Array<RecordEdge>;
  /** A list of nodes. */
  nodes: Array<Record>;
  /** Information to aid in pagination. */
  pageInfo: PageInfo;
};

/** An edge in a connection. */
export type RecordEdge = {
  __typename: 'RecordEdge';
  /** A cursor for use in pagination */
  cursor: Scalars['String']['output'];
  /** The item at the end of the edge */
  node: Record;
};

/** Every condition given must hold. */
export type RecordFilter = {
  application?: InputMaybe<Scalars['String']['input']>;
  /** Every device that the configuration puts in this area. */
  area?: InputMaybe<Scalars['String']['input']>;
  deviceId?: InputMaybe<Scalars['String']['input']>;
  /** 16 hex digits. */
  fingerprint?: InputMaybe<Scalars['String']['input']>;
  /** Event time, included. */
  from?: InputMaybe<Scalars['DateTime']['input']>;
  itemId?: InputMaybe<Scalars['String']['input']>;
  level?: InputMaybe<Level>;
  location?: InputMaybe<Scalars['String']['input']>;
  minLevel?: InputMaybe<Level>;
  orderId?: InputMaybe<Scalars['String']['input']>;
  source?: InputMaybe<Scalars['String']['input']>;
  step?: InputMaybe<Scalars['String']['input']>;
  /** Words that the message must all contain; a part in double quotes must stand as it is. */
  text?: InputMaybe<Scalars['String']['input']>;
  /** Event time, excluded. */
  to?: InputMaybe<Scalars['DateTime']['input']>;
  traceId?: InputMaybe<Scalars['String']['input']>;
  /** Whole dotted parts: `equipment.drive` takes `equipment.drive.overcurrent`. */
  type?: InputMaybe<Scalars['String']['input']>;
  userId?: InputMaybe<Scalars['String']['input']>;
};

export type RecordOrder = 'NEWEST_FIRST' | 'OLDEST_FIRST';

/** A minute of one reading of one device. */
export type Rollup = {
  __typename: 'Rollup';
  count: Scalars['Long']['output'];
  last: Scalars['Float']['output'];
  lastAt: Scalars['DateTime']['output'];
  max: Scalars['Float']['output'];
  mean: Scalars['Float']['output'];
  min: Scalars['Float']['output'];
  /** Start of the minute, event time. */
  minute: Scalars['DateTime']['output'];
  sum: Scalars['Float']['output'];
};

export type Rule = {
  __typename: 'Rule';
  conditionKind: ConditionKind;
  count: Maybe<CountCondition>;
  enabled: Scalars['Boolean']['output'];
  id: Scalars['String']['output'];
  limit: Maybe<LimitCondition>;
  name: Scalars['String']['output'];
  offDelaySeconds: Scalars['Float']['output'];
  passesThrottle: Scalars['Boolean']['output'];
  priority: Priority;
  reopenWithinSeconds: Scalars['Float']['output'];
  routeId: Scalars['String']['output'];
  runbook: Maybe<Scalars['String']['output']>;
  safety: Scalars['Boolean']['output'];
  selector: Selector;
  /** The condition in words: `at least 5 records of ERROR or above within 60 s, per application`. */
  sentence: Scalars['String']['output'];
  /** For SILENCE; null: three times the device's usual gap. */
  silenceAfterSeconds: Maybe<Scalars['Float']['output']>;
  subject: SubjectKind;
  /** Names of the people and channels of its route. */
  tells: Array<Scalars['String']['output']>;
};

/** Which records a rule looks at; empty lists and nulls take all. */
export type Selector = {
  __typename: 'Selector';
  applications: Array<Scalars['String']['output']>;
  areas: Array<Scalars['String']['output']>;
  deviceClasses: Array<Scalars['String']['output']>;
  devices: Array<Scalars['String']['output']>;
  fields: Array<FieldEquals>;
  minLevel: Maybe<Level>;
  typePrefix: Maybe<Scalars['String']['output']>;
  users: Array<Scalars['String']['output']>;
  /** Kinds of subject that the record must not name. */
  without: Array<SubjectKind>;
};

export type ShardsStatus = {
  __typename: 'ShardsStatus';
  count: Scalars['Int']['output'];
  entities: Scalars['Long']['output'];
  restarts: Scalars['Long']['output'];
};

export type Shelving = {
  __typename: 'Shelving';
  by: Scalars['String']['output'];
  reason: Scalars['String']['output'];
  until: Scalars['DateTime']['output'];
};

export type SinkStatus = {
  __typename: 'SinkStatus';
  /** What it is stuck at; null when it is well. */
  error: Maybe<Scalars['String']['output']>;
  /** Journal entries that it has not done yet. */
  lag: Scalars['Long']['output'];
  name: Scalars['String']['output'];
};

export type Status = {
  __typename: 'Status';
  /** False: senders get 503. */
  accepting: Scalars['Boolean']['output'];
  journal: JournalStatus;
  /** Why no e-mail would reach anybody; null when somebody would be mailed. */
  nobodyWouldBeMailed: Maybe<Scalars['String']['output']>;
  notAcceptingReason: Maybe<Scalars['String']['output']>;
  now: Scalars['DateTime']['output'];
  openIncidents: Scalars['Long']['output'];
  /** Records accepted since the start. */
  recordsAccepted: Scalars['Long']['output'];
  shards: ShardsStatus;
  sinks: Array<SinkStatus>;
  siteName: Maybe<Scalars['String']['output']>;
  startedAt: Scalars['DateTime']['output'];
  /** IANA name of the (first) site's time zone: show times in it. `UTC` when no site is configured. */
  timeZone: Scalars['String']['output'];
  version: Scalars['String']['output'];
};

export type Subject = {
  __typename: 'Subject';
  id: Scalars['String']['output'];
  kind: SubjectKind;
};

export type SubjectKind = 'APPLICATION' | 'AREA' | 'DEVICE' | 'USER';

export type TimelineEntry = {
  __typename: 'TimelineEntry';
  at: Scalars['DateTime']['output'];
  kind: TimelineKind;
  recordId: Maybe<Scalars['ID']['output']>;
  /** Unique within the incident. */
  revision: Scalars['Long']['output'];
  text: Scalars['String']['output'];
  who: Maybe<Scalars['String']['output']>;
};

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

/** One raw reading. */
export type TracePoint = {
  __typename: 'TracePoint';
  /** Event time. */
  at: Scalars['DateTime']['output'];
  value: Scalars['Float']['output'];
};

/** Who asks. */
export type Viewer = {
  __typename: 'Viewer';
  /** May it change incidents? With a link: acknowledge that one incident only. */
  canOperate: Scalars['Boolean']['output'];
  /** With a link: when it ends. */
  expires: Maybe<Scalars['DateTime']['output']>;
  /** With a link: the incident that it shows. */
  incidentId: Maybe<Scalars['ID']['output']>;
  kind: ViewerKind;
  /** What a change is signed with: the key's name, `operator` on loopback, the person's name with a link. */
  name: Scalars['String']['output'];
};

/** How the asker was recognised. */
export type ViewerKind = 'KEY' | 'LINK' | 'LOOPBACK';
