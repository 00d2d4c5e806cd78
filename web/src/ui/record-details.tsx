import type { LogRecordFragment } from '@/gen/graphql';
import { useSite } from '@/lib/site';
import { siteDateTimeZone } from '@/lib/time';

/** What was noticed about a record at admission, in words. */
const flagWords: Record<string, string> = {
  clock_skew: 'its clock was ahead: the time of receipt stands in',
  nul_replaced: 'a NUL character was replaced',
  time_missing: 'it named no time: the time of receipt stands in',
  history: 'sent as history',
  latin1: 'its text was read as Latin-1',
  level_unknown: 'its level is none that is known: WARN stands in',
  clock_unset: 'its clock was never set: it is judged by its time of receipt',
};

/** Every member of a record that is there, as text. */
export function RecordDetails({ record }: { record: LogRecordFragment }) {
  const { timeZone } = useSite();
  const rows: [string, string][] = [
    ['timestamp', siteDateTimeZone(record.timestamp, timeZone)],
    ['received_at', siteDateTimeZone(record.receivedAt, timeZone)],
  ];
  const add = (name: string, value: string | null) => {
    if (value !== null && value !== '') rows.push([name, value]);
  };
  add('message', record.message);
  add('level', record.level);
  add('type', record.type);
  add('application', record.application);
  add('device_id', record.deviceId);
  add('user_id', record.userId);
  add('source', record.source);
  add('item_id', record.itemId);
  add('order_id', record.orderId);
  add('location', record.location);
  add('step', record.step);
  add('trace_id', record.traceId);
  add('span_id', record.spanId);
  add('id', record.id);
  for (const { name, value } of record.readings) add(`readings.${name}`, String(value));
  add('fields', prettyFields(record.fields));
  for (const flag of record.flags) add('flag', flagWords[flag] === undefined ? flag : `${flag}: ${flagWords[flag]}`);
  add('fingerprint', record.fingerprint);
  add('record_id', record.recordId);
  return (
    <dl className="grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-0.5 font-mono text-xs leading-5">
      {rows.map(([name, value], index) => (
        <div key={`${name}-${index}`} className="contents">
          <dt className="text-secondary">{name}</dt>
          <dd className="break-words whitespace-pre-wrap">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The sender's object, one member a line; as it came where it does not parse (it may have been cut). */
function prettyFields(fields: string | null): string | null {
  if (fields === null) return null;
  try {
    return JSON.stringify(JSON.parse(fields), null, 2);
  } catch {
    return fields;
  }
}
