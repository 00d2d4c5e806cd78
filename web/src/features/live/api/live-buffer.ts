import type { Record as LiveRecord } from '@/gen/events/events';

/** One line of the tail, or the mark of a place where the server left records out. `key` sorts as the journal does. */
export type TailRow =
  { kind: 'record'; key: string; record: LiveRecord } | { kind: 'left-out'; key: string; count: number };

export interface TailView {
  /** Newest first. */
  rows: readonly TailRow[];
  /** Records that arrived while the tail stood still. */
  fresh: number;
  /** Records that the server left out since the tail began: it sends at most ten frames a second. */
  leftOut: number;
  /** Records that arrived since the tail began. */
  arrived: number;
}

/** Rows kept: some minutes of a busy plant, and few enough that a week on a wall costs no memory. */
export const TAIL_ROWS_MAX = 2_000;

/**
 * What the live tail shows. While it is frozen nothing that is shown moves; what arrives waits, within the same bound,
 * and is counted.
 */
export class LiveBuffer {
  #shown: readonly TailRow[] = [];
  #waiting: readonly TailRow[] = [];
  #fresh = 0;
  #leftOut = 0;
  #arrived = 0;
  #marks = 0;
  #frozen = false;
  #view: TailView = { rows: [], fresh: 0, leftOut: 0, arrived: 0 };
  readonly #keys = new Set<string>();
  readonly #listeners = new Set<() => void>();

  /** One frame of the feed, oldest first. */
  push(records: readonly LiveRecord[], dropped: number): void {
    const rows: TailRow[] = [];
    if (dropped > 0) {
      this.#leftOut += dropped;
      rows.push({ kind: 'left-out', key: this.#markKey(), count: dropped });
    }
    const fresh = records.filter(({ recordId }) => !this.#keys.has(recordId));
    for (const record of fresh) rows.push({ kind: 'record', key: record.recordId, record });
    if (rows.length === 0) return;
    this.#arrived += fresh.length;
    this.#add(rows);
    if (this.#frozen) this.#fresh += fresh.length;
    this.#changed();
  }

  /** What was stored before the feed began, in any order. It is no news: it goes to its place at once. */
  backfill(records: readonly LiveRecord[]): void {
    const rows = records
      .filter(({ recordId }) => !this.#keys.has(recordId))
      .map((record): TailRow => ({ kind: 'record', key: record.recordId, record }));
    if (rows.length === 0) return;
    this.#shown = this.#bounded(rows, this.#shown);
    this.#changed();
  }

  /** Frozen, what arrives waits. Thawing shows it. */
  setFrozen(frozen: boolean): void {
    if (this.#frozen === frozen) return;
    this.#frozen = frozen;
    if (!frozen) this.take();
  }

  /** Shows what waits, frozen or not. */
  take(): void {
    if (this.#waiting.length === 0 && this.#fresh === 0) return;
    this.#shown = this.#bounded(this.#waiting, this.#shown);
    this.#waiting = [];
    this.#fresh = 0;
    this.#changed();
  }

  readonly watch = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly view = (): TailView => this.#view;

  #add(rows: readonly TailRow[]): void {
    if (this.#frozen) this.#waiting = this.#bounded(rows, this.#waiting);
    else this.#shown = this.#bounded(rows, this.#shown);
  }

  /** Both, newest first, each once, cut at the bound. */
  #bounded(rows: readonly TailRow[], others: readonly TailRow[]): readonly TailRow[] {
    const all = [...rows, ...others].sort((a, b) => (a.key < b.key ? 1 : a.key > b.key ? -1 : 0));
    for (const row of rows) this.#keys.add(row.key);
    for (const row of all.slice(TAIL_ROWS_MAX)) this.#keys.delete(row.key);
    return all.slice(0, TAIL_ROWS_MAX);
  }

  /** Sorts right after the newest record that is here: record ids are hex digits, `~` comes after them, `!` before. */
  #markKey(): string {
    const newest = this.#waiting[0] ?? this.#shown[0];
    this.#marks += 1;
    return `${newest?.key.split('~')[0] ?? '!'}~${String(this.#marks).padStart(8, '0')}`;
  }

  #changed(): void {
    this.#view = { rows: this.#shown, fresh: this.#fresh, leftOut: this.#leftOut, arrived: this.#arrived };
    for (const listener of this.#listeners) listener();
  }
}
