import { ApolloProvider } from '@apollo/client/react';
import { act, render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { createMemoryRouter, RouterProvider } from 'react-router';
import { vi } from 'vitest';
import { followLive, LiveCache } from '@/app/live-cache';
import { routeObjects } from '@/app/router';
import { useAckStore } from '@/features/incidents/api/acknowledge';
import {
  EVENT,
  SUBSCRIBE,
  UNSUBSCRIBE,
  type Refused,
  type ServerEvent,
  type Subscribe,
  type Subscribed,
  type Unsubscribe,
} from '@/gen/events/events';
import { createApolloClient, createCache } from '@/lib/apollo';
import { LiveFeed, type FeedSocket } from '@/lib/live-feed';
import { LiveFeedContext } from '@/lib/live-feed-context';
import { useUiStore } from '@/lib/ui-store';
import { MockAndon } from '@/testing/mock-andon';

type Listener = (argument?: unknown) => void;

/** A socket to the mock, connected and cut by the test. */
export class MockSocket implements FeedSocket {
  connected = false;
  readonly sent: { event: string; payload: unknown }[] = [];
  readonly #andon: MockAndon;
  readonly #listeners = new Map<string, Listener[]>();
  #client: ReturnType<MockAndon['connect']> | undefined;

  constructor(andon: MockAndon) {
    this.#andon = andon;
  }

  on(event: string, listener: Listener | ((event: ServerEvent) => void)): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener as Listener]);
  }

  emit(event: string, payload: Subscribe | Unsubscribe, answer: (answer: Subscribed | Refused) => void): void {
    this.sent.push({ event, payload });
    if (event === SUBSCRIBE && this.#client) answer(this.#client.subscribe(payload as Subscribe));
    if (event === UNSUBSCRIBE) this.#client?.unsubscribe(payload.subscription);
  }

  connect(): void {
    this.connected = true;
    this.#client = this.#andon.connect((event) => {
      act(() => {
        this.#fire(EVENT, event);
      });
    });
    act(() => {
      this.#fire('connect');
    });
  }

  cut(): void {
    this.connected = false;
    this.#client?.disconnect();
    this.#client = undefined;
    act(() => {
      this.#fire('disconnect');
    });
  }

  #fire(event: string, argument?: unknown): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(argument);
  }
}

/** The whole app as main.tsx puts it together, on a mock service, at `path`. */
export function renderApp(path: string, andon = new MockAndon()) {
  vi.stubGlobal('fetch', andon.fetch);
  useAckStore.setState({ byIncident: {} });
  useUiStore.setState({ livePaused: false, theme: 'system' });
  const socket = new MockSocket(andon);
  const feed = new LiveFeed(socket);
  const cache = createCache();
  const live = new LiveCache(cache);
  const client = createApolloClient({
    uri: 'http://andon.test/graphql',
    cache,
    overlay: live.overlay,
    onAnswer: () => {
      feed.heard();
    },
  });
  followLive(feed, client, live);
  const router = createMemoryRouter(routeObjects, { initialEntries: [path] });
  render(
    <ApolloProvider client={client}>
      <LiveFeedContext value={feed}>
        <RouterProvider router={router} />
      </LiveFeedContext>
    </ApolloProvider>,
  );
  socket.connect();
  return { andon, socket, feed, client, router, user: userEvent.setup() };
}
