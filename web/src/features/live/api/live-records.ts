import { useApolloClient } from '@apollo/client/react';
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { LiveBuffer } from '@/features/live/api/live-buffer';
import { RecentRecordsDocument } from '@/gen/graphql';
import { faultOf, type Fault } from '@/lib/errors';
import { useLiveFeed } from '@/lib/live-feed-context';
import type { RecordFilterState } from '@/lib/record-filter';

/** Lines shown before the first new one arrives. */
const BACKFILL = 200;

/** The tail of records under `filter`: what was stored last, then what arrives. Another filter begins another tail. */
export function useLiveRecords(filter: RecordFilterState) {
  const feed = useLiveFeed();
  const client = useApolloClient();
  const { text, minLevel, deviceId, application } = filter;
  // One object per content, so that writing the same filter again does not begin again.
  const stable = useMemo(
    () => ({
      ...(text === undefined ? {} : { text }),
      ...(minLevel === undefined ? {} : { minLevel }),
      ...(deviceId === undefined ? {} : { deviceId }),
      ...(application === undefined ? {} : { application }),
    }),
    [text, minLevel, deviceId, application],
  );
  const tail = useMemo(() => ({ buffer: new LiveBuffer(), filter: stable }), [stable]);
  const [fault, setFault] = useState<{ of: object; fault: Fault } | undefined>(undefined);
  const [filled, setFilled] = useState<object | undefined>(undefined);

  useEffect(() => {
    let ended = false;
    const backfill = async () => {
      try {
        const { data } = await client.query({
          query: RecentRecordsDocument,
          variables: { filter: tail.filter, first: BACKFILL },
          // The tail keeps its own rows: a second copy of each in the cache would only grow.
          fetchPolicy: 'no-cache',
        });
        if (ended) return;
        tail.buffer.backfill(data?.records.nodes ?? []);
        setFault(undefined);
      } catch (error) {
        if (!ended) setFault({ of: tail, fault: faultOf(error) });
      }
      if (!ended) setFilled(tail);
    };
    let begun = false;
    const stop = feed.subscribe('record', tail.filter, {
      onEvent: (event) => {
        if (event.type === 'records') tail.buffer.push(event.records, event.dropped);
        else if (event.type === 'reset') void backfill();
      },
      // After a reconnect the feed goes on where it stopped; only the first time there is something to fetch.
      onSubscribed: () => {
        if (!begun) void backfill();
        begun = true;
      },
      onRefused: ({ message }) => {
        setFault({
          of: tail,
          fault: { kind: 'bad-input', title: 'This filter cannot be followed.', advice: 'Change it.', detail: message },
        });
      },
    });
    return () => {
      ended = true;
      stop();
    };
  }, [client, feed, tail]);

  const view = useSyncExternalStore(tail.buffer.watch, tail.buffer.view);
  return { buffer: tail.buffer, view, fault: fault?.of === tail ? fault.fault : undefined, loading: filled !== tail };
}
