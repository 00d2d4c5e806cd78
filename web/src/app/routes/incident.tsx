import { ApolloProvider } from '@apollo/client/react';
import { useMemo, type ReactNode } from 'react';
import { useParams, useSearchParams } from 'react-router';
import { IncidentView } from '@/features/incidents/components/incident-view';
import { createApolloClient } from '@/lib/apollo';

/** One incident, for whoever uses the dashboard, or by the link of an e-mail (`?token=`). Opening it changes nothing. */
export function Component() {
  const { id = '' } = useParams();
  const [search] = useSearchParams();
  const token = search.get('token') ?? undefined;
  return (
    <div className="p-4">
      <AsRecipient token={token}>
        <IncidentView key={id} id={id} byLink={token !== undefined} />
      </AsRecipient>
    </div>
  );
}

/** A link speaks for one person about one incident: it gets a client of its own, whose cache nothing else sees. */
function AsRecipient({ token, children }: { token: string | undefined; children: ReactNode }) {
  const client = useMemo(() => (token === undefined ? undefined : createApolloClient({ linkToken: token })), [token]);
  return client === undefined ? children : <ApolloProvider client={client}>{children}</ApolloProvider>;
}
