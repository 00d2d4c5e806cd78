import { useSearchParams } from 'react-router';
import { TAIL_ROWS_MAX } from '@/features/live/api/live-buffer';
import { useLiveRecords } from '@/features/live/api/live-records';
import { FilterBar } from '@/features/live/components/filter-bar';
import { Tail } from '@/features/live/components/tail';
import { paths } from '@/lib/paths';
import { readRecordFilter } from '@/lib/record-filter';
import { useUiStore } from '@/lib/ui-store';
import { Button } from '@/ui/button';
import { FaultNotice } from '@/ui/notice';

/** Records as they arrive. */
export function Component() {
  const [search] = useSearchParams();
  const filter = readRecordFilter(search);
  const { buffer, view, fault, loading } = useLiveRecords(filter);
  const paused = useUiStore((state) => state.livePaused);
  const setPaused = useUiStore((state) => state.setLivePaused);
  return (
    <div className="flex h-[calc(100dvh-3.6rem)] min-h-96 flex-col gap-3 p-4 max-md:h-[calc(100dvh-6.6rem)]">
      <h1 className="sr-only">Live</h1>
      <FilterBar />
      <div className="flex flex-wrap items-center gap-2">
        <Button
          kind="primary"
          aria-pressed={paused}
          className="min-w-28"
          onClick={() => {
            setPaused(!paused);
          }}
        >
          {paused ? 'Resume' : 'Pause'}
        </Button>
        <span className="ml-auto text-sm text-secondary max-sm:hidden">Stored records under this filter:</span>
        <a
          className="inline-flex min-h-target items-center px-2 text-sm underline max-sm:ml-auto"
          href={paths.export('csv', filter)}
          download
        >
          CSV
        </a>
        <a
          className="inline-flex min-h-target items-center px-2 text-sm underline"
          href={paths.export('ndjson', filter)}
          download
        >
          NDJSON
        </a>
      </div>
      {filter.from !== undefined && view.rows.length >= TAIL_ROWS_MAX && (
        <p className="text-sm font-semibold">
          The newest {TAIL_ROWS_MAX.toLocaleString('en')} records are shown. CSV and NDJSON have all of them since then.
        </p>
      )}
      {fault && <FaultNotice fault={fault} />}
      <Tail buffer={buffer} view={view} paused={paused} loading={loading} filtered={Object.keys(filter).length > 0} />
    </div>
  );
}
