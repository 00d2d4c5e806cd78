import type { IncidentSummaryFragment } from '@/gen/graphql';
import { isUnacknowledged } from '@/features/incidents/api/order';
import { useAcknowledge } from '@/features/incidents/api/acknowledge';
import { Button } from '@/ui/button';

interface AckButtonProps {
  incident: Pick<IncidentSummaryFragment, 'id' | 'state' | 'title'>;
  kind?: 'primary' | 'secondary';
  className?: string;
}

/** One tap. What cannot be sent is kept, said, and sent again. */
export function AckButton({ incident, kind = 'secondary', className }: AckButtonProps) {
  const { progress, acknowledge } = useAcknowledge(incident.id);
  if (!isUnacknowledged(incident.state)) return null;
  const busy = progress?.status === 'sending' || progress?.status === 'taken';
  return (
    <span className="inline-flex flex-col gap-1 max-md:w-full">
      <Button
        kind={kind}
        className={className}
        aria-label={`Acknowledge: ${incident.title}`}
        aria-disabled={busy}
        onClick={() => {
          if (!busy) void acknowledge();
        }}
      >
        {busy ? 'Acknowledging …' : 'Acknowledge'}
      </Button>
      {progress?.status === 'not-sent' && (
        <span role="status" className="max-w-40 text-xs font-semibold">
          Not sent yet: no connection. It is sent as soon as there is one.
        </span>
      )}
      {progress?.status === 'refused' && (
        <span role="alert" className="max-w-40 text-xs">
          {progress.fault.title} {progress.fault.detail ?? progress.fault.advice}
        </span>
      )}
    </span>
  );
}
