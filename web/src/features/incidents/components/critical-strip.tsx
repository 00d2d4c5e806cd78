import { Link } from 'react-router';
import type { IncidentSummaryFragment } from '@/gen/graphql';
import { byUrgency } from '@/features/incidents/api/order';
import { paths } from '@/lib/paths';
import { Time } from '@/ui/time';
import { subjectWords } from '@/ui/words';

/** More than this many are counted, not listed: the table below has them. */
const LISTED_MAX = 3;

/** The red strip: there only while an incident of priority 1 is open and not shelved. */
export function CriticalStrip({ incidents }: { incidents: readonly IncidentSummaryFragment[] }) {
  const critical = incidents
    .filter(({ priority, state }) => priority === 'P1' && state !== 'SHELVED')
    .toSorted(byUrgency);
  if (critical.length === 0) return null;
  return (
    <section aria-label="Critical" className="bg-p1 px-4 py-2 text-on-mark">
      <h2 className="font-bold">
        {critical.length === 1 ? '1 critical incident is open' : `${critical.length} critical incidents are open`}
      </h2>
      <ul>
        {critical.slice(0, LISTED_MAX).map((incident) => (
          <li key={incident.id}>
            <Link
              to={paths.incident(incident.id)}
              className="flex min-h-target flex-wrap items-center gap-x-3 py-1 underline underline-offset-4 focus-visible:outline-on-mark"
            >
              <span className="font-semibold">
                {subjectWords[incident.subject.kind]} {incident.subject.id}
              </span>
              <span className="min-w-0 break-words">{incident.title}</span>
              <span>
                since <Time iso={incident.openedAt} age="beside" className="[&>span]:text-on-mark" />
              </span>
            </Link>
          </li>
        ))}
      </ul>
      {critical.length > LISTED_MAX && <p>and {critical.length - LISTED_MAX} more below</p>}
    </section>
  );
}
