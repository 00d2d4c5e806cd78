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
}

/** The names in the URL are those of `/export.ndjson`: one vocabulary for links, exports and scripts. */
const parameterOf = {
  text: 'text',
  minLevel: 'min_level',
  deviceId: 'device_id',
  application: 'application',
} as const satisfies Record<keyof Required<RecordFilterState>, string>;

/** Longest value taken from a URL; the server's own bound of a name is 128 bytes. */
const VALUE_CHARS_MAX = 256;

/** Reads what it knows and leaves out what it cannot read: a mistyped link shows more, never an error page. */
export function readRecordFilter(search: URLSearchParams): RecordFilterState {
  const filter: RecordFilterState = {};
  const value = (name: string) => search.get(name)?.trim().slice(0, VALUE_CHARS_MAX);
  const text = value(parameterOf.text);
  const deviceId = value(parameterOf.deviceId);
  const application = value(parameterOf.application);
  const minLevel = levels.find((level) => level === value(parameterOf.minLevel)?.toUpperCase());
  if (text) filter.text = text;
  if (deviceId) filter.deviceId = deviceId;
  if (application) filter.application = application;
  if (minLevel) filter.minLevel = minLevel;
  return filter;
}

/** The inverse of {@link readRecordFilter}; parameters stand in one fixed order. */
export function writeRecordFilter(filter: RecordFilterState): URLSearchParams {
  const search = new URLSearchParams();
  for (const key of ['text', 'minLevel', 'deviceId', 'application'] as const) {
    const value = filter[key]?.trim();
    if (value) search.set(parameterOf[key], value);
  }
  return search;
}
