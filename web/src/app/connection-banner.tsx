import { useNowMs } from '@/lib/clock';
import { useFeedState } from '@/lib/live-feed-context';
import { useSite } from '@/lib/site';
import { duration, siteTime } from '@/lib/time';

/** The server speaks at least every 5 s. Three times that without a word, and what is shown is old. */
const SILENT_MS = 15_000;
/** A page that has just opened is given this long before it complains. */
const PATIENCE_MS = 3_000;

/** Says when what is shown is not of now, and how old it is. */
export function ConnectionBanner() {
  const { connection, heardAtMs, openedAtMs } = useFeedState();
  const { timeZone } = useSite();
  useNowMs();
  // Ages here are counted on this device's own clock: both ends were read from it.
  // eslint-disable-next-line react-hooks/purity
  const deviceNowMs = Date.now();
  const sinceMs = heardAtMs ?? openedAtMs;
  const silent = deviceNowMs - sinceMs > SILENT_MS;
  const cut = connection === 'waiting' && deviceNowMs - openedAtMs > PATIENCE_MS;
  if (!silent && !cut) return null;
  return (
    <div role="status" className="border-b border-strong bg-strong px-4 py-2 text-inverse">
      <b className="font-semibold">{silent ? 'Andon cannot be reached.' : 'No live connection.'}</b>{' '}
      {heardAtMs === undefined ? (
        'Nothing has arrived yet.'
      ) : silent ? (
        <>
          What you see is from {siteTime(new Date(heardAtMs).toISOString(), timeZone, deviceNowMs)},{' '}
          {duration(deviceNowMs - heardAtMs)} ago.
        </>
      ) : (
        'What you see is asked for again every 15 s.'
      )}{' '}
      It is tried again by itself.
    </div>
  );
}
