import type { IncidentSummaryFragment } from '@/gen/graphql';
import { useNowMs } from '@/lib/clock';
import { useSite } from '@/lib/site';
import { siteTime } from '@/lib/time';
import { stateWords } from '@/ui/words';

type Shown = Pick<IncidentSummaryFragment, 'state' | 'acknowledged' | 'shelved' | 'closedCause'>;

/** The state in the words of ISA-18.2: what the plant does, and whether somebody has said "I have seen it". */
export function StateLabel({ incident, long = false }: { incident: Shown; long?: boolean }) {
  const { timeZone } = useSite();
  const nowMs = useNowMs();
  const { activity, acknowledgement } = stateWords[incident.state];
  const active = incident.state.startsWith('ACTIVE');
  return (
    <span className="leading-tight">
      <span className={active ? 'font-semibold' : ''}>{activity}</span>
      {incident.state === 'SHELVED' && incident.shelved && (
        <span> until {siteTime(incident.shelved.until, timeZone, nowMs)}</span>
      )}
      {incident.state === 'CLOSED' && incident.closedCause !== null && <span>: {incident.closedCause}</span>}
      {acknowledgement !== undefined && (
        <>
          <span className="text-secondary"> · </span>
          <span className={acknowledgement === 'Unacked' ? 'font-semibold' : 'text-secondary'}>{acknowledgement}</span>
        </>
      )}
      {long && incident.acknowledged && (
        <span className="text-secondary">
          {' '}
          by {incident.acknowledged.by}, {siteTime(incident.acknowledged.at, timeZone, nowMs)}
        </span>
      )}
    </span>
  );
}
