import type { IncidentState, IncidentSummaryFragment } from '@/gen/graphql';

const stateRank: Record<IncidentState, number> = {
  ACTIVE_UNACKNOWLEDGED: 0,
  RETURNED_UNACKNOWLEDGED: 1,
  ACTIVE_ACKNOWLEDGED: 2,
  RETURNED_ACKNOWLEDGED: 3,
  SHELVED: 4,
  CLOSED: 5,
};

/** What needs a person first: shelved last, then by priority, by state, newest first. */
export function byUrgency(a: IncidentSummaryFragment, b: IncidentSummaryFragment): number {
  return (
    Number(a.state === 'SHELVED') - Number(b.state === 'SHELVED') ||
    a.priority.localeCompare(b.priority) ||
    stateRank[a.state] - stateRank[b.state] ||
    b.openedAt.localeCompare(a.openedAt) ||
    a.id.localeCompare(b.id)
  );
}

/**
 * The rows in the order in which they stood before, new ones after them: a row that moves away under a finger makes a person
 * acknowledge the wrong one.
 */
export function inHeldOrder<T extends { id: string }>(rows: readonly T[], held: readonly string[]): T[] {
  const place = new Map(held.map((id, index) => [id, index]));
  return [...rows].sort((a, b) => (place.get(a.id) ?? held.length) - (place.get(b.id) ?? held.length));
}

export function isUnacknowledged(state: IncidentState): boolean {
  return state === 'ACTIVE_UNACKNOWLEDGED' || state === 'RETURNED_UNACKNOWLEDGED';
}
