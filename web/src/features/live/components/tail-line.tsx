import { useLazyQuery } from '@apollo/client/react';
import { useId } from 'react';
import { Link } from 'react-router';
import type { Record as LiveRecord } from '@/gen/events/events';
import { WholeRecordDocument } from '@/gen/graphql';
import { classNames } from '@/lib/class-names';
import { faultOf } from '@/lib/errors';
import { paths } from '@/lib/paths';
import { useSite } from '@/lib/site';
import { siteDateTimeZone, siteTimeMillis } from '@/lib/time';
import { Button } from '@/ui/button';
import { LevelTag } from '@/ui/level-tag';
import { FaultNotice } from '@/ui/notice';
import { RecordDetails } from '@/ui/record-details';

interface TailLineProps {
  record: LiveRecord;
  open: boolean;
  onToggle: () => void;
}

/** One record on one line; opened, all of it. */
export function TailLine({ record, open, onToggle }: TailLineProps) {
  const { timeZone } = useSite();
  const details = useId();
  const origin = [record.application, record.deviceId].filter((part) => part !== null).join(' · ');
  return (
    <>
      <button
        type="button"
        aria-expanded={open}
        aria-controls={details}
        onClick={onToggle}
        className={classNames(
          'grid w-full items-baseline gap-x-3 px-3 py-1.5 text-left text-sm select-text hover:bg-raised',
          'grid-cols-[auto_auto_minmax(0,1fr)] md:grid-cols-[6.5rem_3.5rem_minmax(6rem,14rem)_minmax(0,1fr)]',
          'focus-visible:-outline-offset-3 pointer-coarse:min-h-target',
          open && 'bg-raised',
        )}
      >
        <time
          dateTime={record.timestamp}
          title={siteDateTimeZone(record.timestamp, timeZone)}
          className="font-mono text-xs text-secondary"
        >
          {siteTimeMillis(record.timestamp, timeZone)}
        </time>
        <LevelTag level={record.level} />
        <span className="truncate text-secondary" title={origin}>
          {origin}
        </span>
        <span
          className={classNames(
            'max-md:col-span-3',
            open ? 'break-words' : 'truncate max-md:line-clamp-2 max-md:whitespace-normal',
          )}
        >
          {record.message ?? readingsText(record)}
        </span>
      </button>
      {open && (
        <div id={details} className="border-t border-line bg-ground px-3 py-3 md:pl-[9.75rem]">
          <Opened record={record} />
        </div>
      )}
    </>
  );
}

function Opened({ record }: { record: LiveRecord }) {
  const [ask, { data, error, loading }] = useLazyQuery(WholeRecordDocument);
  const whole = data?.record ?? record;
  return (
    <>
      <RecordDetails record={whole} />
      {whole.truncated && (
        <p className="mt-2 text-sm">
          This is the beginning of a long record.{' '}
          <Button
            disabled={loading}
            onClick={() => {
              void ask({ variables: { id: record.recordId } });
            }}
          >
            Show all of it
          </Button>
        </p>
      )}
      {error && <FaultNotice fault={faultOf(error)} className="mt-2" />}
      <p className="mt-2 flex flex-wrap gap-x-4 text-sm">
        {record.deviceId !== null && (
          <Link
            className="inline-flex min-h-target items-center underline"
            to={paths.live({ deviceId: record.deviceId })}
          >
            Only device {record.deviceId}
          </Link>
        )}
        {record.application !== null && (
          <Link
            className="inline-flex min-h-target items-center underline"
            to={paths.live({ application: record.application })}
          >
            Only application {record.application}
          </Link>
        )}
      </p>
    </>
  );
}

/** `temperature 81.4 · load 0.92` */
function readingsText({ readings }: LiveRecord): string {
  return readings.map(({ name, value }) => `${name} ${value}`).join(' · ');
}
