import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useResendAcknowledgements } from '@/features/incidents/api/acknowledge';
import { useIncident } from '@/features/incidents/api/incident';
import { isUnacknowledged } from '@/features/incidents/api/order';
import { AckButton } from '@/features/incidents/components/ack-button';
import { IncidentActions } from '@/features/incidents/components/incident-actions';
import { LastLines } from '@/features/incidents/components/last-lines';
import { StateLabel } from '@/features/incidents/components/state-label';
import { Deliveries } from '@/features/incidents/components/deliveries';
import { Timeline } from '@/features/incidents/components/timeline';
import type { IncidentQuery, IncidentSummaryFragment } from '@/gen/graphql';
import { useNowMs } from '@/lib/clock';
import { faultOf } from '@/lib/errors';
import { paths } from '@/lib/paths';
import type { RecordFilterState } from '@/lib/record-filter';
import { duration } from '@/lib/time';
import { Empty, FaultNotice, Loading, Notice } from '@/ui/notice';
import { Panel } from '@/ui/panel';
import { PriorityMark } from '@/ui/priority-mark';
import { Time } from '@/ui/time';
import { counted, priorityWords, subjectWords } from '@/ui/words';

type Details = NonNullable<IncidentQuery['incident']>;

interface IncidentViewProps {
  id: string;
  /** The page was opened by the link of an e-mail: it shows this incident only, in the name of the recipient. */
  byLink: boolean;
}

export function IncidentView({ id, byLink }: IncidentViewProps) {
  const { summary, details, viewer, missing, error, loading, refetch } = useIncident(id, byLink);
  useResendAcknowledgements();
  const retry = () => {
    refetch().catch(() => undefined);
  };

  if (missing) {
    return (
      <Empty title="This incident is not here">
        The link is wrong, or its incident has been removed. <Link to={paths.now()}>See what is open now.</Link>
      </Empty>
    );
  }
  const fault = error && faultOf(error);
  if (!summary) {
    if (!fault) return <Loading what="the incident" />;
    return (
      <div className="mx-auto mt-6 w-full max-w-2xl">
        <FaultNotice
          fault={fault}
          {...(fault.kind === 'offline' || fault.kind === 'unavailable' ? { onRetry: retry } : {})}
        >
          {(fault.kind === 'link-expired' || fault.kind === 'link-invalid') && (
            <p className="mt-2">
              <Link className="inline-flex min-h-target items-center underline" to={paths.incident(id)}>
                Open this incident in the dashboard
              </Link>
            </p>
          )}
          {fault.kind === 'sign-in' && <p className="mt-2">The link in the e-mail opens it without signing in.</p>}
        </FaultNotice>
      </div>
    );
  }

  const canOperate = viewer?.canOperate ?? !byLink;
  return (
    <article className="grid gap-4">
      <Header
        incident={summary}
        acknowledgeable={canOperate}
        signs={viewer?.kind === 'LINK' ? viewer.name : undefined}
      />
      {fault && <FaultNotice fault={fault} onRetry={retry} />}
      <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_26rem]">
        <div className="grid min-w-0 gap-4">
          <Facts incident={summary} details={details} />
          <Panel
            title="Last lines"
            aside={
              !byLink && (
                <Link
                  className="inline-flex min-h-target items-center text-sm underline"
                  to={paths.live(subjectFilter(summary))}
                >
                  Follow live
                </Link>
              )
            }
          >
            {details ? <LastLines records={details.records} /> : loading && <Loading what="the last lines" />}
          </Panel>
          {details && details.fingerprints.length > 0 && <Faults details={details} />}
        </div>
        <div className="grid min-w-0 gap-4">
          {details && <Deliveries deliveries={details.deliveries} silent={summary.silent} />}
          {canOperate && <IncidentActions incident={summary} byLink={byLink} />}
          <Panel title="Timeline" aside={<span className="text-sm text-secondary">newest first</span>}>
            {details ? <Timeline entries={details.timeline} /> : loading && <Loading what="the timeline" />}
          </Panel>
        </div>
      </div>
    </article>
  );
}

interface HeaderProps {
  incident: IncidentSummaryFragment;
  acknowledgeable: boolean;
  /** In whose name the link acts. */
  signs: string | undefined;
}

function Header({ incident, acknowledgeable, signs }: HeaderProps) {
  const unacknowledged = isUnacknowledged(incident.state);
  return (
    <header className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-3 border border-line bg-panel p-4 md:grid-cols-[auto_minmax(0,1fr)_auto] md:items-center">
      <PriorityMark
        priority={incident.priority}
        unacknowledged={unacknowledged}
        shelved={incident.state === 'SHELVED'}
        className="size-12"
      />
      <div className="min-w-0">
        <p className="text-sm">
          <span className="text-secondary">{priorityWords[incident.priority]} · </span>
          <StateLabel incident={incident} long />
        </p>
        <h1 className="text-xl font-bold break-words md:text-2xl">{incident.title}</h1>
        <p className="mt-0.5 break-words text-secondary">
          <Sentence incident={incident} />
        </p>
      </div>
      {acknowledgeable && unacknowledged && (
        <div className="max-md:col-span-2">
          <AckButton incident={incident} kind="primary" className="px-8 text-base max-md:w-full" />
          {signs !== undefined && <p className="mt-1 text-sm text-secondary">in the name of {signs}</p>}
        </div>
      )}
    </header>
  );
}

/** What happened, where, how often, since when, in one sentence. */
function Sentence({ incident }: { incident: IncidentSummaryFragment }) {
  const nowMs = useNowMs();
  const end = incident.returnedAt ?? (incident.activity === 'ACTIVE' ? undefined : incident.lastAt);
  const lastedMs = Math.max(0, (end === undefined ? nowMs : Date.parse(end)) - Date.parse(incident.occurrence.firstAt));
  return (
    <>
      {subjectWords[incident.subject.kind]} <b className="font-semibold text-text">{incident.subject.id}</b>
      {incident.area !== null && ` in ${incident.area}`}: {counted(incident.occurrence.count, 'record')} under “
      {incident.ruleName}
      ”, {end === undefined ? `going on for ${duration(lastedMs)}` : `lasted ${duration(lastedMs)}`}
      {incident.reopened > 0 &&
        `; came back ${counted(incident.reopened, 'time')}, ${counted(incident.count, 'record')} in all`}
      .
    </>
  );
}

function Facts({ incident, details }: { incident: IncidentSummaryFragment; details: Details | undefined }) {
  const limit = details?.rule?.limit;
  const unit = limit?.unit == null ? '' : ` ${limit.unit}`;
  const runbook = details?.rule?.runbook;
  return (
    <Panel title="What is known">
      {incident.historical && (
        <Notice title="Found late" className="m-3">
          These records were already history when they arrived. Look whether it still holds before you act.
        </Notice>
      )}
      <dl className="grid grid-cols-2 gap-x-6 gap-y-4 p-4 md:grid-cols-4">
        <Fact name={subjectWords[incident.subject.kind]}>{incident.subject.id}</Fact>
        <Fact name="Records">{incident.count.toLocaleString('en')}</Fact>
        <Fact name="First">
          <Time iso={incident.firstAt} />
        </Fact>
        <Fact name="Last">
          <Time iso={incident.lastAt} />
        </Fact>
        {incident.peak !== null && (
          <Fact name={limit ? `Peak of ${limit.reading}` : 'Peak'}>
            {incident.peak.toLocaleString('en')}
            {unit}
            {limit && (
              <span className="block text-sm font-normal text-secondary">
                limit: {limit.direction === 'ABOVE' ? 'above' : 'below'} {limit.bound.toLocaleString('en')}
                {unit}
              </span>
            )}
          </Fact>
        )}
        {incident.errorType !== null && (
          <Fact name="Type" wide>
            {incident.errorType}
          </Fact>
        )}
        {incident.maxLevel !== null && <Fact name="Highest level">{incident.maxLevel}</Fact>}
        {incident.device !== null && incident.subject.kind !== 'DEVICE' && <Fact name="Device">{incident.device}</Fact>}
        {incident.application !== null && incident.subject.kind !== 'APPLICATION' && (
          <Fact name="Application">{incident.application}</Fact>
        )}
        {incident.user !== null && incident.subject.kind !== 'USER' && <Fact name="User">{incident.user}</Fact>}
        {incident.returnedAt !== null && (
          <Fact name="Returned to normal">
            <Time iso={incident.returnedAt} />
          </Fact>
        )}
        <Fact name="Rule" wide>
          {details?.rule?.sentence ?? incident.ruleName}
        </Fact>
        {details?.rule && (
          <Fact name="Tells" wide>
            {details.rule.tells.length === 0 ? 'nobody' : details.rule.tells.join(', ')}
          </Fact>
        )}
        {runbook != null && (
          <Fact name="Runbook" wide>
            <Runbook address={runbook} />
          </Fact>
        )}
      </dl>
    </Panel>
  );
}

function Fact({ name, wide = false, children }: { name: string; wide?: boolean; children: ReactNode }) {
  return (
    <div className={wide ? 'col-span-2 min-w-0' : 'min-w-0'}>
      <dt className="text-sm text-secondary">{name}</dt>
      <dd className="font-semibold break-words">{children}</dd>
    </div>
  );
}

/** A link only where it leads to a page: a rule is written by people, and `javascript:` is an address too. */
function Runbook({ address }: { address: string }) {
  if (!/^https?:\/\//i.test(address)) return address;
  return (
    <a
      href={address}
      target="_blank"
      rel="noreferrer noopener"
      className="-my-3 inline-flex min-h-target items-center break-all underline"
    >
      {address}
    </a>
  );
}

/** The messages with their variable parts masked: why these records are one incident. */
function Faults({ details }: { details: Details }) {
  return (
    <Panel
      title="Messages in it"
      aside={<span className="text-sm text-secondary">{counted(details.fingerprints.length, 'pattern')}</span>}
    >
      <ul>
        {details.fingerprints
          .toSorted((a, b) => b.count - a.count)
          .map(({ fingerprint, count, template }) => (
            <li
              key={fingerprint}
              className="grid grid-cols-[5rem_minmax(0,1fr)] gap-3 border-b border-line px-4 py-2 text-sm last:border-b-0"
            >
              <span className="text-right">{count.toLocaleString('en')} ×</span>
              <span className="font-mono text-xs leading-5 break-words">{template}</span>
            </li>
          ))}
      </ul>
      {details.fingerprintsTruncated && (
        <p className="px-4 py-2 text-sm text-secondary">There are more patterns than are kept.</p>
      )}
    </Panel>
  );
}

function subjectFilter({ subject }: IncidentSummaryFragment): RecordFilterState {
  const key = { DEVICE: 'deviceId', APPLICATION: 'application', USER: 'userId', AREA: 'area' } as const;
  return { [key[subject.kind]]: subject.id };
}
