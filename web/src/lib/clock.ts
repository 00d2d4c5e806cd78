import { useSyncExternalStore } from 'react';

/** A tablet on the shop floor is minutes wrong now and then; ages are counted on the server's clock. */
let offsetMs = 0;
let currentMs = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

const TICK_MS = 1_000;
/** Below this the difference is the network's, not the clock's. */
const OFFSET_MS_MIN = 2_000;

/** Takes the server's time, RFC 3339, as it arrives. */
export function setServerTime(now: string): void {
  const difference = Date.parse(now) - Date.now();
  if (!Number.isFinite(difference)) return;
  offsetMs = Math.abs(difference) < OFFSET_MS_MIN ? 0 : difference;
}

/** Milliseconds since 1970 on the server's clock, as far as it is known. */
export function nowMs(): number {
  return Date.now() + offsetMs;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  if (timer === undefined) {
    currentMs = nowMs();
    timer = setInterval(() => {
      currentMs = nowMs();
      for (const each of listeners) each();
    }, TICK_MS);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The time, again each second. One timer serves the whole page. */
export function useNowMs(): number {
  return useSyncExternalStore(subscribe, () => currentMs);
}
