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
  /** RFC 3339 in UTC with microseconds: `2026-11-23T02:31:13.000000Z`. Any offset is accepted as input. */
  DateTime: { input: string; output: string };
  /** A whole number from 0 to 2^53 - 1, as a JSON number (`Int` ends at 2^31 - 1). */
  Long: { input: number; output: number };
};

export type Level = 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';

/** P1 critical to P4 low. */
export type Priority = 'P1' | 'P2' | 'P3' | 'P4';

export type SubjectKind = 'DEVICE' | 'APPLICATION' | 'USER' | 'AREA';

/** Does the condition hold? */
export type Activity = 'ACTIVE' | 'RETURNED_TO_NORMAL' | 'CLOSED';

/** The states of ISA-18.2 in one word, the first that applies: closed, shelved, then activity and acknowledgement. */
export type IncidentState =
  | 'ACTIVE_UNACKNOWLEDGED'
  | 'ACTIVE_ACKNOWLEDGED'
  | 'RETURNED_UNACKNOWLEDGED'
  | 'RETURNED_ACKNOWLEDGED'
  | 'SHELVED'
  | 'CLOSED';

export type TimelineKind =
  | 'OPENED'
  | 'REOPENED'
  | 'NEW_FAULT'
  | 'RAISED'
  | 'RETURNED_TO_NORMAL'
  | 'ACKNOWLEDGED'
  | 'COMMENTED'
  | 'SHELVED'
  | 'UNSHELVED'
  | 'CLOSED';

export type AlertReason = 'OPENED' | 'REOPENED' | 'NEW_FAULT' | 'RAISED' | 'REPEAT';

export type ConditionKind = 'COUNT' | 'LIMIT' | 'SILENCE';

export type Direction = 'ABOVE' | 'BELOW';

export type RecordOrder = 'NEWEST_FIRST' | 'OLDEST_FIRST';

/** How the asker was recognised. */
export type ViewerKind = 'LOOPBACK' | 'KEY' | 'LINK';

export type Query = {
  __typename: 'Query';
  /** Newest opened first. `first` is 1 to 1000. */
  incidents: IncidentConnection;
  incident: Maybe<Incident>;
  /** Log records. `first` is 1 to 1000. */
  records: RecordConnection;
  record: Maybe<Record>;
  recordCount: Scalars['Long']['output'];
  /** By id. */
  devices: DeviceConnection;
  /** By id. */
  applications: ApplicationConnection;
  /** Minutes of one reading of one device, oldest first; `from` included, `to` excluded, at most 7 days apart. */
  rollups: Array<Rollup>;
  /** Records that were not taken, newest first. */
  quarantine: Array<QuarantinedRecord>;
  rules: Array<Rule>;
  status: Status;
  viewer: Viewer;
};

export type QueryIncidentsArgs = {
  filter?: InputMaybe<IncidentFilter>;
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

export type QueryIncidentArgs = {
  id: Scalars['ID']['input'];
};

export type QueryRecordsArgs = {
  filter?: InputMaybe<RecordFilter>;
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
  order?: RecordOrder;
};

export type QueryRecordArgs = {
  id: Scalars['ID']['input'];
};

export type QueryRecordCountArgs = {
  filter?: InputMaybe<RecordFilter>;
};

export type QueryDevicesArgs = {
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

export type QueryApplicationsArgs = {
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

export type QueryRollupsArgs = {
  device: Scalars['String']['input'];
  reading: Scalars['String']['input'];
  from: Scalars['DateTime']['input'];
  to: Scalars['DateTime']['input'];
};

export type QueryQuarantineArgs = {
  first?: Scalars['Int']['input'];
};

/** Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done. */
export type Mutation = {
  __typename: 'Mutation';
  /** Acknowledging what is acknowledged changes nothing and is no error; a comment is added all the same. */
  acknowledge: OperationResult;
  comment: OperationResult;
  /** Until a time in the future, at most 8 hours ahead. */
  shelve: OperationResult;
  unshelve: OperationResult;
  close: OperationResult;
};

/** Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done. */
export type MutationAcknowledgeArgs = {
  incidentId: Scalars['ID']['input'];
  comment?: InputMaybe<Scalars['String']['input']>;
};

/** Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done. */
export type MutationCommentArgs = {
  incidentId: Scalars['ID']['input'];
  text: Scalars['String']['input'];
};

/** Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done. */
export type MutationShelveArgs = {
  incidentId: Scalars['ID']['input'];
  until: Scalars['DateTime']['input'];
  reason: Scalars['String']['input'];
};

/** Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done. */
export type MutationUnshelveArgs = {
  incidentId: Scalars['ID']['input'];
};

/** Each returns once the incident shows it, or, when that takes longer than 2 s, with `applied: false`: it is in the journal and will be done. */
export type MutationCloseArgs = {
  incidentId: Scalars['ID']['input'];
  cause: Scalars['String']['input'];
};

export type OperationResult = {
  __typename: 'OperationResult';
  incident: Incident;
  applied: Scalars['Boolean']['output'];
};

/** Every condition given must hold. */
export type IncidentFilter = {
  /** Not closed. */
  openOnly?: Scalars['Boolean']['input'];
  subjectKind?: InputMaybe<SubjectKind>;
  subjectId?: InputMaybe<Scalars['String']['input']>;
  /** Id of the rule. */
  rule?: InputMaybe<Scalars['String']['input']>;
  area?: InputMaybe<Scalars['String']['input']>;
  openedFrom?: InputMaybe<Scalars['DateTime']['input']>;
  openedTo?: InputMaybe<Scalars['DateTime']['input']>;
};

/** Every condition given must hold. */
export type RecordFilter = {
  application?: InputMaybe<Scalars['String']['input']>;
  deviceId?: InputMaybe<Scalars['String']['input']>;
  userId?: InputMaybe<Scalars['String']['input']>;
  source?: InputMaybe<Scalars['String']['input']>;
  itemId?: InputMaybe<Scalars['String']['input']>;
  orderId?: InputMaybe<Scalars['String']['input']>;
  location?: InputMaybe<Scalars['String']['input']>;
  step?: InputMaybe<Scalars['String']['input']>;
  traceId?: InputMaybe<Scalars['String']['input']>;
  /** Whole dotted parts: `equipment.drive` takes `equipment.drive.overcurrent`. */
  type?: InputMaybe<Scalars['String']['input']>;
  level?: InputMaybe<Level>;
  minLevel?: InputMaybe<Level>;
  /** 16 hex digits. */
  fingerprint?: InputMaybe<Scalars['String']['input']>;
  /** Words that the message must all contain; a part in double quotes must stand as it is. */
  text?: InputMaybe<Scalars['String']['input']>;
  /** Event time, included. */
  from?: InputMaybe<Scalars['DateTime']['input']>;
  /** Event time, excluded. */
  to?: InputMaybe<Scalars['DateTime']['input']>;
};

export type PageInfo = {
  __typename: 'PageInfo';
  hasPreviousPage: Scalars['Boolean']['output'];
  hasNextPage: Scalars['Boolean']['output'];
  startCursor: Maybe<Scalars['String']['output']>;
  endCursor: Maybe<Scalars['String']['output']>;
};

export type IncidentConnection = {
  __typename: 'IncidentConnection';
  pageInfo: PageInfo;
  edges: Array<IncidentEdge>;
  nodes: Array<Incident>;
};

export type IncidentEdge = {
  __typename: 'IncidentEdge';
  node: Incident;
  cursor: Scalars['String']['output'];
};

export type RecordConnection = {
  __typename: 'RecordConnection';
  pageInfo: PageInfo;
  edges: Array<RecordEdge>;
  nodes: Array<Record>;
};

export type RecordEdge = {
  __typename: 'RecordEdge';
  node: Record;
  cursor: Scalars['String']['output'];
};

export type DeviceConnection = {
  __typename: 'DeviceConnection';
  pageInfo: PageInfo;
  edges: Array<DeviceEdge>;
  nodes: Array<Device>;
};

export type DeviceEdge = {
  __typename: 'DeviceEdge';
  node: Device;
  cursor: Scalars['String']['output'];
};

export type ApplicationConnection = {
  __typename: 'ApplicationConnection';
  pageInfo: PageInfo;
  edges: Array<ApplicationEdge>;
  nodes: Array<Application>;
};

export type ApplicationEdge = {
  __typename: 'ApplicationEdge';
  node: Application;
  cursor: Scalars['String']['output'];
};

export type Subject = {
  __typename: 'Subject';
  kind: SubjectKind;
  id: Scalars['String']['output'];
};

export type Incident = {
  __typename: 'Incident';
  /** 32 hex digits. */
  id: Scalars['ID']['output'];
  ruleId: Scalars['String']['output'];
  /** Null when the rule is no longer configured. */
  rule: Maybe<Rule>;
  /** Name of the rule, or its id when it is no longer configured. */
  ruleName: Scalars['String']['output'];
  subject: Subject;
  priority: Priority;
  state: IncidentState;
  activity: Activity;
  acknowledged: Maybe<Acknowledgement>;
  shelved: Maybe<Shelving>;
  closedCause: Maybe<Scalars['String']['output']>;
  /** Event time of the first record that belongs to it. */
  firstAt: Scalars['DateTime']['output'];
  /** Event time of the record that breached. */
  openedAt: Scalars['DateTime']['output'];
  lastAt: Scalars['DateTime']['output'];
  returnedAt: Maybe<Scalars['DateTime']['output']>;
  firstRecordId: Scalars['ID']['output'];
  lastRecordId: Scalars['ID']['output'];
  /** Records that belong to it. */
  count: Scalars['Long']['output'];
  reopened: Scalars['Int']['output'];
  maxLevel: Maybe<Level>;
  /** For a limit: the worst value of the reading. */
  peak: Maybe<Scalars['Float']['output']>;
  /** Message of the newest record. */
  title: Scalars['String']['output'];
  /** `type` of the newest record. */
  errorType: Maybe<Scalars['String']['output']>;
  device: Maybe<Scalars['String']['output']>;
  application: Maybe<Scalars['String']['output']>;
  user: Maybe<Scalars['String']['output']>;
  area: Maybe<Scalars['String']['output']>;
  source: Maybe<Scalars['String']['output']>;
  /** Found in records that were history when they were judged. */
  historical: Scalars['Boolean']['output'];
  /** Sent as history: nobody is told. */
  silent: Scalars['Boolean']['output'];
  fingerprints: Array<FingerprintCount>;
  fingerprintsTruncated: Scalars['Boolean']['output'];
  /** Grows with every change of this incident, compared as text: of two copies the greater is the newer. */
  version: Scalars['String']['output'];
  /** Oldest first. */
  timeline: Array<TimelineEntry>;
  alerts: Array<Alert>;
  /** The newest log records of its subject up to its last record, newest first. `first` is 1 to 100. */
  records: Array<Record>;
};

export type IncidentRecordsArgs = {
  first?: Scalars['Int']['input'];
};

export type Acknowledgement = {
  __typename: 'Acknowledgement';
  at: Scalars['DateTime']['output'];
  by: Scalars['String']['output'];
};

export type Shelving = {
  __typename: 'Shelving';
  until: Scalars['DateTime']['output'];
  by: Scalars['String']['output'];
  reason: Scalars['String']['output'];
};

export type FingerprintCount = {
  __typename: 'FingerprintCount';
  /** 16 hex digits. */
  fingerprint: Scalars['String']['output'];
  count: Scalars['Long']['output'];
  /** The message with its variable parts masked. */
  template: Scalars['String']['output'];
};

export type TimelineEntry = {
  __typename: 'TimelineEntry';
  /** Unique within the incident. */
  revision: Scalars['Long']['output'];
  at: Scalars['DateTime']['output'];
  kind: TimelineKind;
  who: Maybe<Scalars['String']['output']>;
  text: Scalars['String']['output'];
  recordId: Maybe<Scalars['ID']['output']>;
};

export type Alert = {
  __typename: 'Alert';
  id: Scalars['ID']['output'];
  reason: AlertReason;
  at: Scalars['DateTime']['output'];
  receivedAt: Scalars['DateTime']['output'];
  passesThrottle: Scalars['Boolean']['output'];
  historical: Scalars['Boolean']['output'];
  text: Scalars['String']['output'];
};

export type Record = {
  __typename: 'Record';
  /** 32 hex digits; sorts as the journal does. */
  recordId: Scalars['ID']['output'];
  timestamp: Scalars['DateTime']['output'];
  receivedAt: Scalars['DateTime']['output'];
  /** Null for a record of readings only. */
  level: Maybe<Level>;
  message: Maybe<Scalars['String']['output']>;
  type: Maybe<Scalars['String']['output']>;
  application: Maybe<Scalars['String']['output']>;
  deviceId: Maybe<Scalars['String']['output']>;
  userId: Maybe<Scalars['String']['output']>;
  source: Maybe<Scalars['String']['output']>;
  readings: Array<Reading>;
  /** A JSON object as text; null when there is none. */
  fields: Maybe<Scalars['String']['output']>;
  /** The sender's own id. */
  id: Maybe<Scalars['String']['output']>;
  itemId: Maybe<Scalars['String']['output']>;
  orderId: Maybe<Scalars['String']['output']>;
  location: Maybe<Scalars['String']['output']>;
  step: Maybe<Scalars['String']['output']>;
  traceId: Maybe<Scalars['String']['output']>;
  spanId: Maybe<Scalars['String']['output']>;
  /** 16 hex digits; null where there is no message. */
  fingerprint: Maybe<Scalars['String']['output']>;
  /** What was noticed: `clock_skew`, `nul_replaced`, `time_missing`, `history`, `latin1`. */
  flags: Array<Scalars['String']['output']>;
  /** Live feed only: message or fields were cut; ask `record(id)` for the whole. */
  truncated: Scalars['Boolean']['output'];
};

export type Reading = {
  __typename: 'Reading';
  name: Scalars['String']['output'];
  value: Scalars['Float']['output'];
};

export type Device = {
  __typename: 'Device';
  id: Scalars['String']['output'];
  firstSeen: Scalars['DateTime']['output'];
  /** False until it has a place in the plant: it registered itself with its first record. */
  assigned: Scalars['Boolean']['output'];
  class: Maybe<Scalars['String']['output']>;
  site: Maybe<Scalars['String']['output']>;
  area: Maybe<Scalars['String']['output']>;
  line: Maybe<Scalars['String']['output']>;
  /** The device through which this one reaches us. */
  gateway: Maybe<Scalars['String']['output']>;
};

export type Application = {
  __typename: 'Application';
  id: Scalars['String']['output'];
  firstSeen: Scalars['DateTime']['output'];
};

export type Rollup = {
  __typename: 'Rollup';
  /** Start of the minute, event time. */
  minute: Scalars['DateTime']['output'];
  min: Scalars['Float']['output'];
  max: Scalars['Float']['output'];
  mean: Scalars['Float']['output'];
  sum: Scalars['Float']['output'];
  count: Scalars['Long']['output'];
  last: Scalars['Float']['output'];
  lastAt: Scalars['DateTime']['output'];
};

export type QuarantinedRecord = {
  __typename: 'QuarantinedRecord';
  /** Journal sequence and index: `seq:index`. */
  id: Scalars['ID']['output'];
  receivedAt: Scalars['DateTime']['output'];
  keyId: Scalars['String']['output'];
  /** Who refused it: `gateway`, `log_index`, `relational`, `judging`. */
  stage: Scalars['String']['output'];
  field: Scalars['String']['output'];
  reason: Scalars['String']['output'];
  /** The first 4 KiB of what was sent. */
  excerpt: Scalars['String']['output'];
};

export type Rule = {
  __typename: 'Rule';
  id: Scalars['String']['output'];
  name: Scalars['String']['output'];
  enabled: Scalars['Boolean']['output'];
  /** The condition in words: `at least 5 records of ERROR or above within 60 s, per application`. */
  sentence: Scalars['String']['output'];
  subject: SubjectKind;
  priority: Priority;
  conditionKind: ConditionKind;
  count: Maybe<CountCondition>;
  limit: Maybe<LimitCondition>;
  /** For SILENCE; null: three times the device's usual gap. */
  silenceAfterSeconds: Maybe<Scalars['Float']['output']>;
  selector: Selector;
  routeId: Scalars['String']['output'];
  /** Names of the people and channels of its route. */
  tells: Array<Scalars['String']['output']>;
  runbook: Maybe<Scalars['String']['output']>;
  offDelaySeconds: Scalars['Float']['output'];
  reopenWithinSeconds: Scalars['Float']['output'];
  passesThrottle: Scalars['Boolean']['output'];
  safety: Scalars['Boolean']['output'];
};

export type CountCondition = {
  __typename: 'CountCondition';
  count: Scalars['Int']['output'];
  withinSeconds: Scalars['Float']['output'];
};

export type LimitCondition = {
  __typename: 'LimitCondition';
  reading: Scalars['String']['output'];
  unit: Maybe<Scalars['String']['output']>;
  direction: Direction;
  bound: Scalars['Float']['output'];
  deadband: Scalars['Float']['output'];
  onDelaySeconds: Scalars['Float']['output'];
};

/** Which records a rule looks at; empty lists and nulls take all. */
export type Selector = {
  __typename: 'Selector';
  applications: Array<Scalars['String']['output']>;
  devices: Array<Scalars['String']['output']>;
  deviceClasses: Array<Scalars['String']['output']>;
  areas: Array<Scalars['String']['output']>;
  users: Array<Scalars['String']['output']>;
  typePrefix: Maybe<Scalars['String']['output']>;
  minLevel: Maybe<Level>;
  without: Array<SubjectKind>;
  fields: Array<FieldEquals>;
};

export type FieldEquals = {
  __typename: 'FieldEquals';
  name: Scalars['String']['output'];
  value: Scalars['String']['output'];
};

export type Status = {
  __typename: 'Status';
  version: Scalars['String']['output'];
  now: Scalars['DateTime']['output'];
  startedAt: Scalars['DateTime']['output'];
  /** IANA name of the (first) site's time zone: show times in it. `UTC` when no site is configured. */
  timeZone: Scalars['String']['output'];
  siteName: Maybe<Scalars['String']['output']>;
  /** False: senders get 503. */
  accepting: Scalars['Boolean']['output'];
  notAcceptingReason: Maybe<Scalars['String']['output']>;
  /** Records accepted since the start. */
  recordsAccepted: Scalars['Long']['output'];
  journal: JournalStatus;
  sinks: Array<SinkStatus>;
  shards: ShardsStatus;
  openIncidents: Scalars['Long']['output'];
  /** Why no e-mail would reach anybody; null when somebody would be mailed. */
  nobodyWouldBeMailed: Maybe<Scalars['String']['output']>;
};

export type JournalStatus = {
  __typename: 'JournalStatus';
  bytes: Scalars['Long']['output'];
  quotaBytes: Scalars['Long']['output'];
  lastSeq: Scalars['Long']['output'];
};

export type SinkStatus = {
  __typename: 'SinkStatus';
  name: Scalars['String']['output'];
  /** Journal entries that it has not done yet. */
  lag: Scalars['Long']['output'];
  /** What it is stuck at; null when it is well. */
  error: Maybe<Scalars['String']['output']>;
};

export type ShardsStatus = {
  __typename: 'ShardsStatus';
  count: Scalars['Int']['output'];
  entities: Scalars['Long']['output'];
  restarts: Scalars['Long']['output'];
};

export type Viewer = {
  __typename: 'Viewer';
  /** What a change is signed with: the key's name, `operator` on loopback, the person's name with a link. */
  name: Scalars['String']['output'];
  kind: ViewerKind;
  /** May it change incidents? With a link: acknowledge that one incident only. */
  canOperate: Scalars['Boolean']['output'];
  /** With a link: the incident that it shows. */
  incidentId: Maybe<Scalars['ID']['output']>;
  /** With a link: when it ends. */
  expires: Maybe<Scalars['DateTime']['output']>;
};
