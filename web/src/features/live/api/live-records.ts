import type { ApolloClient } from '@apollo/client';
import { useApolloClient } from '@apollo/client/react';
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { LiveBuffer, TAIL_ROWS_MAX } from '@/features/live/api/live-buffer';
import { RecentRecordsDocument, type LogRecordFragment, type RecentRecordsQuery } from '@/gen/graphql';
import { faultOf, type Fault } from '@/lib/errors';
import { useLiveFeed } from '@/lib/live-feed-context';
import { readRecordFilter, writeRecordFilter, type RecordFilterState } from '@/lib/record-filter';

/** Lines shown before the first new one arrives. */
const BACKFILL = 200;
/** Records of one request. */
const PAGE = 500;

/**
 * Gives what is stored under `filter` to `take`, the newest first, until that says false. Without a time the last lines are enough to
 * begin with; from a time on all of them are wanted, as far as the tail can hold them.
 */
async function fetchStored(
  client: ApolloClient,
  filter: RecordFilterState,
  take: (records: LogRecordFragment[]) => boolean,
): Promise<void> {
  let left = filter.from === undefined ? BACKFILL : TAIL_ROWS_MAX;
  let after: string | null = null;
  while (left > 0) {
    const { data }: { data?: RecentRecordsQuery | undefined } = await client.query({
      query: RecentRecordsDocument,
      variables: { filter, first: Math.min(left, PAGE), after },
      // The tail keeps its own rows: a second copy of each in the cache would only grow.
      fetchPolicy: 'no-cache',
    });
    if (data === undefined || !take(data.records.nodes)) return;
    if (!data.records.pageInfo.hasNextPage) return;
    left -= data.records.nodes.length;
    after = data.records.pageInfo.endCursor;
  }
}

/** The tail of records under `filter`: what was stored last, then what arrives. Another filter begins another tail. */
export function useLiveRecords(filter: RecordFilterState) {
  const feed = useLiveFeed();
  const client = useApolloClient();
  // One tail per content, so that writing the same filter again does not begin again.
  const content = writeRecordFilter(filter).toString();
  const tail = useMemo(
    () => ({ buffer: new LiveBuffer(), filter: readRecordFilter(new URLSearchParams(content)) }),
    [content],
  );
  const [fault, setFault] = useState<{ of: object; fault: Fault } | undefined>(undefined);
  const [filled, setFilled] = useState<object | undefined>(undefined);

  useEffect(() => {
    let ended = false;
    const backfill = async () => {
      try {
        await fetchStored(client, tail.filter, (records) => {
          if (!ended) tail.buffer.backfill(records);
          return !ended;
        });
        if (!ended) setFault(undefined);
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
