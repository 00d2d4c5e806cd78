import { createContext, use, useSyncExternalStore } from 'react';
import type { FeedState, LiveFeed } from '@/lib/live-feed';

export const LiveFeedContext = createContext<LiveFeed | undefined>(undefined);

export function useLiveFeed(): LiveFeed {
  const feed = use(LiveFeedContext);
  if (!feed) throw new Error('useLiveFeed needs a LiveFeedContext above it');
  return feed;
}

export function useFeedState(): FeedState {
  const feed = useLiveFeed();
  return useSyncExternalStore(feed.watch, feed.state);
}
