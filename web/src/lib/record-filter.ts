import type { Level } from '@/gen/graphql';

/** Least to most severe. */
export const levels: readonly Level[] = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

/** Which records a page shows. It lives in the URL, so that what one person sees another one can be sent. */
export interface RecordFilterState {
  /** Words that the message must all contain; a part in double quotes must stand as it is. */
  text?: string;
  minLevel?: Level;
  deviceId?: string;
  application?: string;
  userId?: string;
  /** All devices that the configuration puts there. */
  area?: string;
  /** Event time, RFC 3339, included. */
  from?: string;
}

/**
 * The names in the URL are those of `/export.ndjson`: one vocabulary for links, exports and scripts. The e-mails' links to the log use
 * them too. Written in this order.
 */
const parameterOf = {
  text: 'text',
  minLevel: 'min_level',
  deviceId: 'device_id',
  application: 'application',
  userId: 'user_id',
  area: 'area',
  from: 'from',
} as const satisfies Record<keyof Required<RecordFilterState>, string>;
const keys = Object.keys(parameterOf) as (keyof typeof parameterOf)[];

/** Longest value taken from a URL; the server's own bound of a name is 128 bytes. */
const VALUE_CHARS_MAX = 256;

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** Reads what it knows and leaves out what it cannot read: a mistyped link shows more, never an error page. */
export function readRecordFilter(search: URLSearchParams): RecordFilterState {
  const filter: RecordFilterState = {};
  for (const key of keys) {
    const value = search.get(parameterOf[key])?.trim().slice(0, VALUE_CHARS_MAX);
    if (!value) continue;
    if (key === 'minLevel') {
      const level = levels.find((known) => known === value.toUpperCase());
      if (level) filter.minLevel = level;
    } else if (key !== 'from' || (rfc3339.test(value) && !Number.isNaN(Date.parse(value)))) {
      filter[key] = value;
    }
  }
  return filter;
}

/** The inverse of {@link readRecordFilter}. */
export function writeRecordFilter(filter: RecordFilterState): URLSearchParams {
  const search = new URLSearchParams();
  for (const key of keys) {
    const value = filter[key]?.trim();
    if (value) search.set(parameterOf[key], value);
  }
  return search;
}
