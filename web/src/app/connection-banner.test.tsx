import { act, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionBanner } from '@/app/connection-banner';
import { LiveFeed } from '@/lib/live-feed';
import { LiveFeedContext } from '@/lib/live-feed-context';
import { SiteContext } from '@/lib/site';
import { MockAndon } from '@/testing/mock-andon';
import { MockSocket } from '@/testing/render-app';

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2026-11-23T02:40:00Z') });
});
afterEach(() => {
  vi.useRealTimers();
});

function open() {
  const socket = new MockSocket(new MockAndon());
  const feed = new LiveFeed(socket);
  render(
    <LiveFeedContext value={feed}>
      <SiteContext value={{ timeZone: 'Europe/Berlin', name: undefined }}>
        <ConnectionBanner />
      </SiteContext>
    </LiveFeedContext>,
  );
  return { socket, feed };
}

const pass = (ms: number) => {
  act(() => {
    vi.advanceTimersByTime(ms);
  });
};

describe('the banner of the connection', () => {
  it('is not there while the feed speaks', () => {
    const { socket, feed } = open();
    socket.connect();
    for (let n = 0; n < 10; n += 1) {
      pass(5_000);
      act(() => {
        feed.heard();
      });
    }
    expect(screen.queryByRole('status')).not.toBeInTheDocument();
  });

  it('gives a page that has just opened a moment', () => {
    open();
    pass(2_000);
    expect(screen.queryByRole('status')).not.toBeInTheDocument();
    pass(3_000);
    expect(screen.getByRole('status')).toHaveTextContent('No live connection. Nothing has arrived yet.');
  });

  it('says that it asks instead while only the live connection is cut', () => {
    const { socket, feed } = open();
    socket.connect();
    socket.cut();
    pass(10_000);
    act(() => {
      feed.heard();
    });
    pass(1_000);
    expect(screen.getByRole('status')).toHaveTextContent(
      'No live connection. What you see is asked for again every 15 s.',
    );
  });

  it('says from when the data is and how old, in the time of the site, once nothing answers', () => {
    const { socket } = open();
    socket.connect();
    socket.cut();
    pass(42_000);
    expect(screen.getByRole('status')).toHaveTextContent(
      'Andon cannot be reached. What you see is from 03:40:00, 42 s ago. It is tried again by itself.',
    );
  });

  it('goes when the connection is back', () => {
    const { socket } = open();
    pass(30_000);
    expect(screen.getByRole('status')).toBeInTheDocument();
    socket.connect();
    pass(1_000);
    expect(screen.queryByRole('status')).not.toBeInTheDocument();
  });
});
