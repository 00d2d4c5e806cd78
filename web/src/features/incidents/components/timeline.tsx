import type { IncidentQuery } from '@/gen/graphql';
import { Time } from '@/ui/time';
import { timelineWords } from '@/ui/words';

type Details = NonNullable<IncidentQuery['incident']>;

interface TimelineProps {
  entries: Details['timeline'];
}

export function Timeline({ entries }: TimelineProps) {
  if (entries.length === 0) return <p className="px-4 py-3 text-sm text-secondary">Nothing yet.</p>;
  return (
    <ol>
      {entries.toReversed().map(({ revision, at, kind, who, text }) => (
        <li key={revision} className="border-b border-line px-4 py-2 last:border-b-0">
          <div className="flex flex-wrap items-baseline justify-between gap-x-4">
            <span className="font-semibold">{timelineWords[kind]}</span>
            <Time iso={at} age="beside" className="text-sm" />
          </div>
          {who !== null && <p className="text-sm">by {who}</p>}
          {text !== '' && <p className="text-sm break-words whitespace-pre-line text-secondary">{text}</p>}
        </li>
      ))}
    </ol>
  );
}
