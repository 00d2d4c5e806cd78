import { useNowMs } from '@/lib/clock';
import { useSite } from '@/lib/site';
import { relativeTime, siteDateTimeZone, siteTime } from '@/lib/time';
import { classNames } from '@/lib/class-names';

interface TimeProps {
  iso: string;
  /** The age below the time, beside it, or beside it on a narrow screen only. */
  age?: 'below' | 'beside' | 'beside-when-narrow';
  className?: string;
}

const ages = {
  below: 'block text-sm',
  beside: "before:content-['_·_']",
  'beside-when-narrow': "text-sm max-md:before:content-['_·_'] md:block",
};

/** A moment in the site's zone with its age beside it; the whole of it, with the zone, on hover and for screen readers' title. */
export function Time({ iso, age = 'below', className }: TimeProps) {
  const { timeZone } = useSite();
  const nowMs = useNowMs();
  const relative = relativeTime(iso, nowMs);
  return (
    <time dateTime={iso} title={siteDateTimeZone(iso, timeZone)} className={classNames('whitespace-nowrap', className)}>
      {siteTime(iso, timeZone, nowMs)}
      <span className={classNames('font-normal text-secondary', ages[age])}>{relative}</span>
    </time>
  );
}
