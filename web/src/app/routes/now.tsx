import { HealthPanel, NobodyMailedNotice } from '@/features/health/components/health-panel';
import { useResendAcknowledgements } from '@/features/incidents/api/acknowledge';
import { useOpenIncidents } from '@/features/incidents/api/open-incidents';
import { CriticalStrip } from '@/features/incidents/components/critical-strip';
import { IncidentTable } from '@/features/incidents/components/incident-table';
import { faultOf } from '@/lib/errors';
import { Empty, FaultNotice, Loading } from '@/ui/notice';
import { Panel } from '@/ui/panel';
import { counted } from '@/ui/words';

/** What is wrong now, whatever happened when, and whether Andon itself is well. */
export function Component() {
  const { incidents, known, cut, error, refetch } = useOpenIncidents();
  useResendAcknowledgements();
  const unacknowledged = incidents.filter(({ state }) => state.endsWith('_UNACKNOWLEDGED')).length;
  return (
    <>
      <h1 className="sr-only">Now</h1>
      <CriticalStrip incidents={incidents} />
      <div className="grid items-start gap-4 p-4 min-[1720px]:grid-cols-[minmax(0,1fr)_24rem]">
        <div className="grid min-w-0 gap-4">
          <NobodyMailedNotice />
          {error && (
            <FaultNotice
              fault={faultOf(error)}
              onRetry={() => {
                refetch().catch(() => undefined);
              }}
            />
          )}
          <Panel
            title="Open incidents"
            aside={
              known && (
                <span className="text-sm text-secondary">
                  {counted(incidents.length, 'open', 'open')}
                  {unacknowledged > 0 && <b className="font-semibold text-text">, {unacknowledged} unacked</b>}
                </span>
              )
            }
          >
            {known ? (
              incidents.length === 0 ? (
                <Empty title="Nothing is open">New incidents show here by themselves.</Empty>
              ) : (
                <IncidentTable incidents={incidents} />
              )
            ) : (
              !error && <Loading what="open incidents" />
            )}
            {cut && (
              <p className="border-t border-line px-4 py-2 text-sm">
                There are more open incidents than this list holds.
              </p>
            )}
          </Panel>
        </div>
        <HealthPanel />
      </div>
    </>
  );
}
