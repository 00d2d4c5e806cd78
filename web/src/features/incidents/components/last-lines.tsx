import { useState } from 'react';
import type { LogRecordFragment } from '@/gen/graphql';
import { classNames } from '@/lib/class-names';
import { useSite } from '@/lib/site';
import { siteDateTimeZone, siteTimeMillis } from '@/lib/time';
import { LevelTag } from '@/ui/level-tag';
import { RecordDetails } from '@/ui/record-details';

/** The newest log records of the subject up to the last of the incident, newest first. */
export function LastLines({ records }: { records: readonly LogRecordFragment[] }) {
  const { timeZone } = useSite();
  const [open, setOpen] = useState<string | undefined>(undefined);
  if (records.length === 0)
    return <p className="px-4 py-3 text-sm text-secondary">No log records are stored for it.</p>;
  return (
    <ol>
      {records.map((record) => (
        <li key={record.recordId} className="border-b border-line last:border-b-0">
          <button
            type="button"
            aria-expanded={open === record.recordId}
            onClick={() => {
              setOpen(open === record.recordId ? undefined : record.recordId);
            }}
            className="grid w-full grid-cols-[auto_auto_minmax(0,1fr)] items-baseline gap-x-3 px-4 py-1.5 text-left text-sm select-text hover:bg-raised focus-visible:-outline-offset-3 pointer-coarse:min-h-target"
          >
            <time
              dateTime={record.timestamp}
              title={siteDateTimeZone(record.timestamp, timeZone)}
              className="font-mono text-xs text-secondary"
            >
              {siteTimeMillis(record.timestamp, timeZone)}
            </time>
            <LevelTag level={record.level} />
            <span
              className={classNames(
                'max-md:col-span-3',
                open === record.recordId ? 'break-words' : 'line-clamp-2 break-words',
              )}
            >
              {record.message ?? '(readings only)'}
            </span>
          </button>
          {open === record.recordId && (
            <div className="border-t border-line bg-ground px-4 py-3">
              <RecordDetails record={record} />
            </div>
          )}
        </li>
      ))}
    </ol>
  );
}
