import type { DeliveryState, IncidentState, Priority, SubjectKind, TimelineKind } from '@/gen/graphql';

/** The words of ISA-18.2 as they stand on every page. */
export const priorityWords: Record<Priority, string> = {
  P1: 'Priority 1, critical',
  P2: 'Priority 2, high',
  P3: 'Priority 3, medium',
  P4: 'Priority 4, low',
};

/** Activity and acknowledgement apart, for they are two questions. */
export const stateWords: Record<IncidentState, { activity: string; acknowledgement: string | undefined }> = {
  ACTIVE_UNACKNOWLEDGED: { activity: 'Active', acknowledgement: 'Unacked' },
  ACTIVE_ACKNOWLEDGED: { activity: 'Active', acknowledgement: 'Acked' },
  RETURNED_UNACKNOWLEDGED: { activity: 'Returned to normal', acknowledgement: 'Unacked' },
  RETURNED_ACKNOWLEDGED: { activity: 'Returned to normal', acknowledgement: 'Acked' },
  SHELVED: { activity: 'Shelved', acknowledgement: undefined },
  CLOSED: { activity: 'Closed', acknowledgement: undefined },
};

export const subjectWords: Record<SubjectKind, string> = {
  DEVICE: 'Device',
  APPLICATION: 'Application',
  USER: 'User',
  AREA: 'Area',
};

export const timelineWords: Record<TimelineKind, string> = {
  OPENED: 'Opened',
  REOPENED: 'Reopened',
  NEW_FAULT: 'New fault',
  RAISED: 'Raised',
  RETURNED_TO_NORMAL: 'Returned to normal',
  ACKNOWLEDGED: 'Acknowledged',
  COMMENTED: 'Comment',
  SHELVED: 'Shelved',
  UNSHELVED: 'Unshelved',
  CLOSED: 'Closed',
};

/** What became of a message to a person. */
export const deliveryWords: Record<DeliveryState, string> = {
  WAITING: 'Not yet',
  HELD: 'Held for the next digest',
  MUTED: 'Muted',
  NOTICED: 'In a message on its way',
  SENT: 'Told',
  DEAD: 'Could not be told',
  SUPPRESSED: 'Not to be told',
};

/** `1 record`, `1,204 records`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}
