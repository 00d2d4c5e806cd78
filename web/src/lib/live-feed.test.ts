import { describe, expect, it } from 'vitest';
import type { Position, Refused, ServerEvent, Subscribe, Subscribed } from '@/gen/events/events';
import { LiveFeed, type FeedSocket } from '@/lib/live-feed';

const position = (seq: number): Position => ({ epoch: 'e', seq });

/** A socket that remembers what was sent and says what the test tells it to. */
class Wire implements FeedSocket {
  connected = false;
  answer: Subscribed | Refused = { ok: true, position: position(1) };
  readonly sent: [string, unknown][] = [];
  readonly #listeners: Record<string, ((argument?: unknown) => void)[]> = {};

  on(event: string, listener: (argument: never) => void): void {
    (this.#listeners[event] ??= []).push(listener as (argument?: unknown) => void);
  }
  emit(event: string, payload: unknown, answer: (answer: Subscribed | Refused) => void): void {
    this.sent.push([event, payload]);
    if (event === 'subscribe') answer(this.answer);
  }
  connect(): void {
    this.connected = true;
    this.#fire('connect');
  }
  cut(): void {
    this.connected = false;
    this.#fire('disconnect');
  }
  say(event: ServerEvent): void {
    this.#fire('event', event);
  }
  #fire(event: string, argument?: unknown): void {
    for (const listener of this.#listeners[event] ?? []) listener(argument);
  }
}

const records = (subscription: string, seq: number): ServerEvent => ({
  type: 'records',
  subscription,
  position: position(seq),
  records: [],
  dropped: 0,
});

function setUp() {
  const wire = new Wire();
  const feed = new LiveFeed(wire);
  const heard: ServerEvent[] = [];
  const subscribed: string[] = [];
  const refused: Refused[] = [];
  const listener = {
    onEvent: (event: ServerEvent) => heard.push(event),
    onSubscribed: () => subscribed.push('yes'),
    onRefused: (refusal: Refused) => refused.push(refusal),
  };
  const requests = () =>
    wire.sent.filter(([event]) => event === 'subscribe').map(([, payload]) => payload as Subscribe);
  return { wire, feed, heard, subscribed, refused, listener, requests };
}

describe('LiveFeed', () => {
  it('subscribes once it is connected, whichever comes first', () => {
    const { wire, feed, listener, requests, subscribed } = setUp();
    feed.subscribe('record', { deviceId: 'CNV-03' }, listener);
    expect(requests()).toEqual([]);
    wire.connect();
    feed.subscribe('status', undefined, listener);
    expect(requests()).toEqual([
      { subscription: 'record-1', room: 'record', filter: { deviceId: 'CNV-03' } },
      { subscription: 'status-2', room: 'status' },
    ]);
    expect(subscribed).toHaveLength(2);
  });

  it('hears the events of its own subscriptions only', () => {
    const { wire, feed, listener, heard } = setUp();
    wire.connect();
    feed.subscribe('record', undefined, listener);
    wire.say(records('record-1', 5));
    wire.say(records('record-77', 6));
    expect(heard.map(({ subscription }) => subscription)).toEqual(['record-1']);
  });

  it('goes on after a cut where it stopped', () => {
    const { wire, feed, listener, requests } = setUp();
    wire.connect();
    feed.subscribe('record', undefined, listener);
    wire.say(records('record-1', 41));
    wire.say(records('record-1', 42));
    wire.cut();
    wire.connect();
    expect(requests().map(({ since }) => since)).toEqual([undefined, position(42)]);
  });

  it('goes on from where it was taken when nothing came before the cut', () => {
    const { wire, feed, listener, requests } = setUp();
    wire.answer = { ok: true, position: position(7) };
    wire.connect();
    feed.subscribe('record', undefined, listener);
    wire.cut();
    wire.connect();
    expect(requests().at(-1)?.since).toEqual(position(7));
  });

  it('takes the position of a reset', () => {
    const { wire, feed, listener, requests } = setUp();
    wire.connect();
    feed.subscribe('incident', undefined, listener);
    wire.say({ type: 'reset', subscription: 'incident-1', position: { epoch: 'f', seq: 0 }, reason: 'restarted' });
    wire.cut();
    wire.connect();
    expect(requests().at(-1)?.since).toEqual({ epoch: 'f', seq: 0 });
  });

  it('ends a subscription once, and hears it no more', () => {
    const { wire, feed, listener, heard, requests } = setUp();
    wire.connect();
    const stop = feed.subscribe('record', undefined, listener);
    stop();
    stop();
    wire.say(records('record-1', 5));
    wire.cut();
    wire.connect();
    expect(wire.sent.filter(([event]) => event === 'unsubscribe')).toEqual([
      ['unsubscribe', { subscription: 'record-1' }],
    ]);
    expect(heard).toEqual([]);
    expect(requests()).toHaveLength(1);
  });

  it('passes a refusal on', () => {
    const { wire, feed, listener, refused, subscribed } = setUp();
    wire.answer = { ok: false, code: 'BAD_INPUT', message: '`text` has an open quote' };
    wire.connect();
    feed.subscribe('record', { text: '"' }, listener);
    expect(refused).toHaveLength(1);
    expect(subscribed).toEqual([]);
  });

  it('knows whether it is connected and when it last heard', () => {
    const { wire, feed, listener } = setUp();
    expect(feed.state()).toMatchObject({ connection: 'waiting', heardAtMs: undefined, connects: 0 });
    wire.connect();
    expect(feed.state()).toMatchObject({ connection: 'connected', connects: 1 });
    feed.subscribe('record', undefined, listener);
    const before = feed.state();
    wire.say(records('record-1', 5));
    expect(feed.state()).not.toBe(before);
    wire.cut();
    expect(feed.state()).toMatchObject({ connection: 'waiting', connects: 1 });
  });
});
