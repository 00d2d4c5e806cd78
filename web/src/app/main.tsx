import { ApolloProvider } from '@apollo/client/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createBrowserRouter } from 'react-router';
import { RouterProvider } from 'react-router/dom';
import { io } from 'socket.io-client';
import { followLive, LiveCache } from '@/app/live-cache';
import { routeObjects } from '@/app/router';
import { createApolloClient, createCache } from '@/lib/apollo';
import { LiveFeed } from '@/lib/live-feed';
import { LiveFeedContext } from '@/lib/live-feed-context';
import { followTheme } from '@/lib/ui-store';
import '@/app/styles.css';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no element with the id root');

followTheme();
const feed = new LiveFeed(io({ reconnectionDelay: 500, reconnectionDelayMax: 5_000 }));
const cache = createCache();
const live = new LiveCache(cache);
const client = createApolloClient({
  cache,
  overlay: live.overlay,
  onAnswer: () => {
    feed.heard();
  },
});
followLive(feed, client, live);

createRoot(root).render(
  <StrictMode>
    <ApolloProvider client={client}>
      <LiveFeedContext value={feed}>
        <RouterProvider router={createBrowserRouter(routeObjects)} />
      </LiveFeedContext>
    </ApolloProvider>
  </StrictMode>,
);
