import { useNowMs } from '@/lib/clock';
import { useSite } from '@/lib/site';
import { relativeTime, siteDateTimeZone, siteTime } from '@/lib/time';
import { classNames } from '@/lib/class-names';

interface TimeProps {
  iso: string;
  /** One line instead of two. */
  inline?: boolean;
  className?: string;
}

/** A moment in the site's zone with its age beside it; the whole of it, with the zone, on hover and for screen readers' title. */
export function Time({ iso, inline = false, className }: TimeProps) {
  const { timeZone } = useSite();
  const nowMs = useNowMs();
  const relative = relativeTime(iso, nowMs);
  return (
    <time dateTime={iso} title={siteDateTimeZone(iso, timeZone)} className={classNames('whitespace-nowrap', className)}>
      {siteTime(iso, timeZone, nowMs)}
      {inline ? (
        <span className="text-secondary"> · {relative}</span>
      ) : (
        <span className="block text-sm text-secondary">{relative}</span>
      )}
    </time>
  );
}
