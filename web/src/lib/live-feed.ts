import {
  EVENT,
  SUBSCRIBE,
  UNSUBSCRIBE,
  type EventFilter,
  type Position,
  type Refused,
  type Room,
  type ServerEvent,
  type Subscribe,
  type Subscribed,
  type Unsubscribe,
} from '@/gen/events/events';

/** What of a Socket.IO socket is needed here; tests bring their own. */
export interface FeedSocket {
  readonly connected: boolean;
  on(event: 'connect' | 'disconnect' | 'connect_error', listener: (argument?: unknown) => void): unknown;
  on(event: typeof EVENT, listener: (event: ServerEvent) => void): unknown;
  emit(event: typeof SUBSCRIBE, request: Subscribe, answer: (answer: Subscribed | Refused) => void): unknown;
  emit(event: typeof UNSUBSCRIBE, request: Unsubscribe, answer: () => void): unknown;
}

/** `waiting`: not connected yet, or cut off and trying again. */
export type Connection = 'waiting' | 'connected';

export interface FeedState {
  connection: Connection;
  /** When the server was last heard, on this device's clock; undefined before the first time. */
  heardAtMs: number | undefined;
  /** When this feed was made, on this device's clock. */
  openedAtMs: number;
  /** How often a connection has stood; more than 1 means that there was a gap. */
  connects: number;
}

export interface FeedListener {
  onEvent: (event: ServerEvent) => void;
  /** The server has taken the subscription, the first time or after a reconnect. */
  onSubscribed?: () => void;
  onRefused?: (refusal: Refused) => void;
}

interface Subscription {
  id: string;
  room: Room;
  filter: EventFilter | undefined;
  /** The last that arrived: after a reconnect the server goes on from here. */
  position: Position | undefined;
  listener: FeedListener;
}

/** The live feed: one socket, many subscriptions, each resumed after a reconnect where it stopped. */
export class LiveFeed {
  readonly #socket: FeedSocket;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #listeners = new Set<() => void>();
  #state: FeedState = { connection: 'waiting', heardAtMs: undefined, openedAtMs: Date.now(), connects: 0 };
  #nextId = 1;

  constructor(socket: FeedSocket) {
    this.#socket = socket;
    socket.on('connect', () => {
      this.#set({ connection: 'connected', heardAtMs: Date.now(), connects: this.#state.connects + 1 });
      for (const subscription of this.#subscriptions.values()) this.#send(subscription);
    });
    socket.on('disconnect', () => {
      this.#set({ connection: 'waiting' });
    });
    socket.on(EVENT, (event) => {
      this.#set({ heardAtMs: Date.now() });
      const subscription = this.#subscriptions.get(event.subscription);
      if (!subscription) return;
      subscription.position = event.position;
      subscription.listener.onEvent(event);
    });
  }

  /** Returns how to end it. */
  subscribe(room: Room, filter: EventFilter | undefined, listener: FeedListener): () => void {
    const id = `${room}-${this.#nextId++}`;
    const subscription: Subscription = { id, room, filter, position: undefined, listener };
    this.#subscriptions.set(id, subscription);
    if (this.#socket.connected) this.#send(subscription);
    return () => {
      if (!this.#subscriptions.delete(id)) return;
      if (this.#socket.connected) this.#socket.emit(UNSUBSCRIBE, { subscription: id }, () => undefined);
    };
  }

  /** For `useSyncExternalStore`. */
  readonly watch = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly state = (): FeedState => this.#state;

  /** An answer over HTTP is news of the server as well. */
  heard(): void {
    this.#set({ heardAtMs: Date.now() });
  }

  #send(subscription: Subscription): void {
    const since = subscription.position;
    this.#socket.emit(
      SUBSCRIBE,
      {
        subscription: subscription.id,
        room: subscription.room,
        ...(subscription.filter ? { filter: subscription.filter } : {}),
        ...(since ? { since } : {}),
      },
      (answer) => {
        if (this.#subscriptions.get(subscription.id) !== subscription) return;
        if (!answer.ok) {
          subscription.listener.onRefused?.(answer);
          return;
        }
        // With `since`, the events between are on their way and carry the position along.
        if (since === undefined) subscription.position ??= answer.position;
        subscription.listener.onSubscribed?.();
      },
    );
  }

  #set(change: Partial<FeedState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
