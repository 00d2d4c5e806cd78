import type { IncidentQuery } from '@/gen/graphql';
import { Panel } from '@/ui/panel';
import { Time } from '@/ui/time';
import { deliveryWords } from '@/ui/words';

interface DeliveriesProps {
  deliveries: NonNullable<IncidentQuery['incident']>['deliveries'];
  silent: boolean;
}

/** Who has been told of the incident, and who has not, and why: newest first. */
export function Deliveries({ deliveries, silent }: DeliveriesProps) {
  return (
    <Panel title="Who was told">
      {deliveries.length === 0 ? (
        <p className="px-4 py-3 text-sm text-secondary">
          {silent ? 'Nobody: its records were sent as history.' : 'Nobody yet.'}
        </p>
      ) : (
        <ul>
          {deliveries.toReversed().map(({ id, to, channel, state, reason, due, mutedUntil, updatedAt }) => (
            <li key={id} className="border-b border-line px-4 py-2 text-sm last:border-b-0">
              <div className="flex flex-wrap items-baseline justify-between gap-x-4">
                <span className="font-semibold break-all">{to}</span>
                <Time iso={updatedAt} age="beside" />
              </div>
              <p className="break-words text-secondary">
                <span className={state === 'DEAD' ? 'font-semibold text-text' : ''}>{deliveryWords[state]}</span> by{' '}
                {channel === 'EMAIL' ? 'e-mail' : channel === 'SLACK' ? 'Slack' : 'webhook'}
                {reason !== null && `: ${reason}`}
                {(mutedUntil ?? due) !== null && state !== 'SENT' && (
                  <>
                    {' '}
                    until <Time iso={mutedUntil ?? due ?? ''} age="beside" />
                  </>
                )}
              </p>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
