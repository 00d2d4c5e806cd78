import type { ReactNode } from 'react';
import { useStatus } from '@/features/health/api/status';
import type { StatusQuery } from '@/gen/graphql';
import { useNowMs } from '@/lib/clock';
import { faultOf } from '@/lib/errors';
import { duration } from '@/lib/time';
import { FaultNotice, Loading, Notice } from '@/ui/notice';
import { Panel } from '@/ui/panel';
import { counted } from '@/ui/words';

/** A sink this many entries behind is worth a look; below, it is the usual distance of a writer that batches. */
const LAG_NOTABLE = 1_000;
/** Share of its quota from which the journal is worth a look. At 100 % senders are turned away. */
const JOURNAL_NOTABLE = 0.8;

/** Is Andon itself well: does it take records, do its stores keep up, would anybody be told? */
export function HealthPanel() {
  const { status, error } = useStatus();
  return (
    <Panel title="Andon itself">
      {status ? (
        <Health status={status} />
      ) : error ? (
        <FaultNotice fault={faultOf(error)} className="m-3" />
      ) : (
        <Loading what="the state of the system" />
      )}
    </Panel>
  );
}

/** The warning that must never be missed: it stands above the incidents. */
export function NobodyMailedNotice() {
  const { status } = useStatus();
  if (status?.nobodyWouldBeMailed == null) return null;
  return (
    <Notice title="Nobody would be mailed" role="alert">
      {status.nobodyWouldBeMailed}
    </Notice>
  );
}

function Health({ status }: { status: StatusQuery['status'] }) {
  const nowMs = useNowMs();
  const full = status.journal.quotaBytes === 0 ? 0 : status.journal.bytes / status.journal.quotaBytes;
  return (
    <dl className="grid overflow-hidden md:grid-cols-2 xl:grid-cols-3 min-[1720px]:grid-cols-1">
      <Row name="Taking records" well={status.accepting}>
        {status.accepting
          ? `yes, ${counted(status.recordsAccepted, 'record')} since the start`
          : `no: ${status.notAcceptingReason ?? 'no reason given'}`}
      </Row>
      {status.sinks.map(({ name, lag, error }) => (
        <Row key={name} name={sinkWords[name] ?? name} well={error === null && lag < LAG_NOTABLE}>
          {error ?? (lag === 0 ? 'up to date' : `${counted(lag, 'entry', 'entries')} behind`)}
        </Row>
      ))}
      <Row name="Journal" well={full < JOURNAL_NOTABLE}>
        <Bar share={full} /> {bytes(status.journal.bytes)} of {bytes(status.journal.quotaBytes)}
      </Row>
      <Row name="In memory" well={status.shards.restarts === 0}>
        state of {counted(status.shards.entities, 'device or application', 'devices, applications and users')}
        {status.shards.restarts > 0 && `; ${counted(status.shards.restarts, 'restart')} of a shard`}
      </Row>
      <Row name="Running" well>
        {duration(Math.max(0, nowMs - Date.parse(status.startedAt)))}, version {status.version}
      </Row>
    </dl>
  );
}

/** Names of sinks as people know them. */
const sinkWords: Record<string, string> = {
  judging: 'Rules',
  incidents: 'Incidents',
  rows: 'Database',
  log_index: 'Log search',
  records: 'Records in SQL',
  fast_state: 'Recent readings',
};

function Row({ name, well, children }: { name: string; well: boolean; children: ReactNode }) {
  return (
    <div className="grid grid-cols-[1.25rem_7rem_minmax(0,1fr)] items-start gap-2 -mt-px border-t border-line px-4 py-2 text-sm">
      <span className="pt-0.5">{well ? null : <Caution />}</span>
      <dt className="text-secondary">{name}</dt>
      <dd className={well ? 'break-words' : 'font-semibold break-words'}>{children}</dd>
    </div>
  );
}

/** Not an alarm's colour: this is about Andon, not about the plant. */
function Caution() {
  return (
    <svg viewBox="0 0 16 16" role="img" aria-label="Needs attention" className="size-4 fill-text">
      <path d="M8 .8 15.6 15H.4z" />
      <path d="M8 5.5v5M8 11.8v1.6" strokeWidth="1.8" className="stroke-panel" />
    </svg>
  );
}

/** How full, with a mark where it becomes notable. */
function Bar({ share }: { share: number }) {
  const percent = Math.min(100, Math.round(share * 100));
  return (
    <svg
      viewBox="0 0 100 8"
      preserveAspectRatio="none"
      role="img"
      aria-label={`${percent} % full`}
      className="mb-1 block h-2 w-full border border-edge"
    >
      <rect width={percent} height="8" className="fill-edge" />
      <path d={`M${JOURNAL_NOTABLE * 100} 0v8`} strokeWidth="1" strokeDasharray="2 1.5" className="stroke-text" />
    </svg>
  );
}

/** `1.5 GiB`. */
function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = n;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
