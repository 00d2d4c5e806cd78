import { useQuery } from '@apollo/client/react';
import { StatusDocument } from '@/gen/graphql';
import { useFeedState } from '@/lib/live-feed-context';

const POLL_MS = 15_000;

/** How Andon itself is, kept up to date by the live feed. */
export function useStatus() {
  const { connection } = useFeedState();
  const { data, error, loading } = useQuery(StatusDocument, {
    pollInterval: connection === 'connected' ? 0 : POLL_MS,
  });
  return { status: data?.status, error, loading };
}
