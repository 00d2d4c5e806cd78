import { useEffect, useRef, useState } from 'react';
import { useOpenIncidents } from '@/features/incidents/api/open-incidents';
import type { IncidentSummaryFragment } from '@/gen/graphql';
import { counted, priorityWords, subjectWords } from '@/ui/words';

/** Others than critical ones are told together, this long after the first. */
const DIGEST_MS = 10_000;

/**
 * Tells a screen reader what is new: a critical incident at once, the others as one sentence. Also keeps the number of open
 * incidents in the title of the tab.
 */
export function Announcer() {
  const { incidents, known } = useOpenIncidents();
  const seen = useRef<Set<string> | undefined>(undefined);
  const waiting = useRef<IncidentSummaryFragment[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const [critical, setCritical] = useState('');
  const [digest, setDigest] = useState('');

  useEffect(() => {
    if (!known) return;
    document.title = incidents.length === 0 ? 'Andon' : `(${incidents.length}) Andon`;
    const before = seen.current;
    seen.current = new Set(incidents.map(({ id }) => id));
    const fresh = incidents.filter(({ id, state }) => state !== 'SHELVED' && !before?.has(id));
    const urgent = fresh.filter(({ priority }) => priority === 'P1');
    if (urgent.length > 0) {
      setCritical(
        urgent
          .map(({ subject, title }) => `Critical: ${subjectWords[subject.kind]} ${subject.id}: ${title}.`)
          .join(' '),
      );
    }
    // What was there when the page opened is on the page; only what comes later is told.
    if (before === undefined) return;
    waiting.current.push(...fresh.filter(({ priority }) => priority !== 'P1'));
    if (waiting.current.length === 0 || timer.current !== undefined) return;
    timer.current = setTimeout(() => {
      timer.current = undefined;
      setDigest(digestOf(waiting.current));
      waiting.current = [];
    }, DIGEST_MS);
  }, [incidents, known]);

  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    },
    [],
  );

  return (
    <>
      <p aria-live="assertive" className="sr-only">
        {critical}
      </p>
      <p aria-live="polite" className="sr-only">
        {digest}
      </p>
    </>
  );
}

function digestOf(fresh: readonly IncidentSummaryFragment[]): string {
  const highest = fresh.map(({ priority }) => priority).toSorted()[0];
  return highest === undefined ? '' : `${counted(fresh.length, 'new incident')}, highest: ${priorityWords[highest]}.`;
}
