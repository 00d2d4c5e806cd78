import { writeRecordFilter, type RecordFilterState } from '@/lib/record-filter';

/** Patterns that the router matches. */
export const routes = {
  now: '/',
  live: '/live',
  incident: '/incidents/:id',
} as const;

/** Addresses inside the dashboard. Nothing else puts a path together. */
export const paths = {
  now: () => '/',
  live: (filter: RecordFilterState = {}) => withSearch('/live', writeRecordFilter(filter)),
  incident: (id: string) => `/incidents/${encodeURIComponent(id)}`,
  export: (format: 'ndjson' | 'csv', filter: RecordFilterState = {}) =>
    withSearch(`/export.${format}`, writeRecordFilter(filter)),
};

function withSearch(path: string, search: URLSearchParams): string {
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}
