import { useQuery } from '@apollo/client/react';
import { OpenIncidentsDocument, type IncidentSummaryFragment } from '@/gen/graphql';
import { useFeedState } from '@/lib/live-feed-context';

/** While the live feed is down the list is asked for this often. */
const POLL_MS = 15_000;

const none: IncidentSummaryFragment[] = [];

/** Open incidents whatever the time range, kept up to date by the live feed. */
export function useOpenIncidents() {
  const { connection } = useFeedState();
  const { data, error, loading, refetch } = useQuery(OpenIncidentsDocument, {
    pollInterval: connection === 'connected' ? 0 : POLL_MS,
  });
  return {
    incidents: data?.incidents.nodes ?? none,
    known: data !== undefined,
    /** There are more than the list holds. */
    cut: data?.incidents.pageInfo.hasNextPage ?? false,
    error,
    loading,
    refetch,
  };
}
