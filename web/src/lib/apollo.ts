import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { map } from 'rxjs';

/** Name of the header that carries the token of an e-mail's link. */
export const LINK_TOKEN_HEADER = 'Andon-Link-Token';

/** How identity works in the cache: what has no id of its own belongs to the object that holds it. */
export function createCache(): InMemoryCache {
  return new InMemoryCache({
    typePolicies: {
      // A record's `id` is the sender's own and need not be unique.
      Record: { keyFields: ['recordId'] },
      Status: { keyFields: [], merge: true },
      Viewer: { keyFields: false },
      // Their `id` alone does not name them: a device and an application may have the same.
      Subject: { keyFields: false },
      Incident: { fields: { timeline: { merge: false }, records: { merge: false } } },
    },
  });
}

interface ClientOptions {
  uri?: string;
  /** Left out: an empty one. */
  cache?: InMemoryCache;
  /** Asks as the recipient of an e-mail, for its incident only. Such a client has a cache of its own. */
  linkToken?: string;
  /** Sees each answer before the cache does: an answer may be older than what the live feed has brought. */
  overlay?: (data: unknown, operation: string | undefined) => unknown;
  /** Called for each answer: the server has been heard. */
  onAnswer?: () => void;
}

export function createApolloClient({
  uri = '/graphql',
  cache = createCache(),
  linkToken,
  overlay,
  onAnswer,
}: ClientOptions = {}): ApolloClient {
  const http = new HttpLink({
    uri,
    credentials: 'same-origin',
    ...(linkToken === undefined ? {} : { headers: { [LINK_TOKEN_HEADER]: linkToken } }),
  });
  const watched = new ApolloLink((operation, forward) =>
    forward(operation).pipe(
      map((result) => {
        onAnswer?.();
        if (overlay === undefined || !('data' in result) || !result.data) return result;
        return { ...result, data: overlay(result.data, operation.operationName) as typeof result.data };
      }),
    ),
  );
  return new ApolloClient({ link: ApolloLink.from([watched, http]), cache, assumeImmutableResults: true });
}
