import { NetworkStatus } from '@apollo/client';
import { useFragment, useQuery } from '@apollo/client/react';
import { useEffect, useRef } from 'react';
import { IncidentDocument, IncidentSummaryFragmentDoc } from '@/gen/graphql';

/** After the summary has changed, timeline and lines are asked for again, at most this often. */
const FOLLOW_MS = 1_000;
/** With the link of an e-mail there is no live feed: the incident is asked for this often. */
const LINK_POLL_MS = 10_000;

/**
 * One incident. What the list or the live feed already knows of it shows at once; its timeline, lines and rule follow, and
 * are asked for again when the incident changes.
 */
export function useIncident(id: string, byLink: boolean) {
  const { data, error, loading, refetch, networkStatus } = useQuery(IncidentDocument, {
    variables: { id },
    fetchPolicy: 'cache-and-network',
    nextFetchPolicy: 'cache-first',
    pollInterval: byLink ? LINK_POLL_MS : 0,
  });
  const summary = useFragment({
    fragment: IncidentSummaryFragmentDoc,
    fragmentName: 'IncidentSummary',
    from: { __typename: 'Incident', id },
  });

  const version = summary.complete ? summary.data.version : undefined;
  const fetchedVersion = useRef<string | undefined>(undefined);
  const known = data?.incident;
  useEffect(() => {
    if (version === undefined || known == null) return;
    if (fetchedVersion.current === undefined || fetchedVersion.current === version) {
      fetchedVersion.current = version;
      return;
    }
    const timer = setTimeout(() => {
      fetchedVersion.current = version;
      // The query shows its own error.
      refetch().catch(() => undefined);
    }, FOLLOW_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [version, known, refetch]);

  return {
    summary: summary.complete ? summary.data : (known ?? undefined),
    details: known ?? undefined,
    viewer: data?.viewer,
    /** The server has answered, and knows no such incident. */
    missing: data !== undefined && data.incident === null,
    error,
    loading: loading && networkStatus !== NetworkStatus.poll,
    refetch,
  };
}
