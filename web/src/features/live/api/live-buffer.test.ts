import { describe, expect, it } from 'vitest';
import { LiveBuffer, TAIL_ROWS_MAX } from '@/features/live/api/live-buffer';
import { aRecord, hexId, liveRecord } from '@/testing/factories';

const record = (n: number) => liveRecord(aRecord({ recordId: hexId(n), message: `line ${n}` }));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => record(from + i));

const shown = (buffer: LiveBuffer) =>
  buffer.view().rows.map((row) => (row.kind === 'record' ? row.record.message : `${row.count} left out`));

describe('LiveBuffer', () => {
  it('has the newest first', () => {
    const buffer = new LiveBuffer();
    buffer.push(range(1, 2), 0);
    buffer.push([record(3)], 0);
    expect(shown(buffer)).toEqual(['line 3', 'line 2', 'line 1']);
    expect(buffer.view()).toMatchObject({ arrived: 3, fresh: 0, leftOut: 0 });
  });

  it('is bounded, whatever arrives', () => {
    const buffer = new LiveBuffer();
    for (let n = 0; n < 50; n += 1) buffer.push(range(n * 200 + 1, n * 200 + 200), 1);
    expect(buffer.view().rows).toHaveLength(TAIL_ROWS_MAX);
    expect(shown(buffer)[0]).toBe('line 10000');
    expect(buffer.view()).toMatchObject({ arrived: 10_000, leftOut: 50 });
  });

  it('is bounded while it is frozen too, and counts all that waits', () => {
    const buffer = new LiveBuffer();
    buffer.push([record(1)], 0);
    buffer.setFrozen(true);
    const before = buffer.view().rows;
    for (let n = 0; n < 50; n += 1) buffer.push(range(n * 200 + 2, n * 200 + 201), 0);
    expect(buffer.view().rows).toBe(before);
    expect(buffer.view().fresh).toBe(10_000);
    buffer.setFrozen(false);
    expect(buffer.view().rows).toHaveLength(TAIL_ROWS_MAX);
    expect(buffer.view().fresh).toBe(0);
    expect(shown(buffer)[0]).toBe('line 10001');
  });

  it('shows what waits when asked, and stays frozen', () => {
    const buffer = new LiveBuffer();
    buffer.setFrozen(true);
    buffer.push([record(1)], 0);
    expect(shown(buffer)).toEqual([]);
    buffer.take();
    expect(shown(buffer)).toEqual(['line 1']);
    buffer.push([record(2)], 0);
    expect(shown(buffer)).toEqual(['line 1']);
  });

  it('marks the place where records were left out', () => {
    const buffer = new LiveBuffer();
    buffer.push(range(1, 1), 0);
    buffer.push(range(2, 2), 37);
    buffer.push([], 5);
    expect(shown(buffer)).toEqual(['5 left out', 'line 2', '37 left out', 'line 1']);
    expect(buffer.view().leftOut).toBe(42);
  });

  it('keeps that place when older records are filled in', () => {
    const buffer = new LiveBuffer();
    buffer.push([record(10)], 0);
    buffer.push([record(20)], 3);
    buffer.backfill([record(9), record(10), record(8)]);
    expect(shown(buffer)).toEqual(['line 20', '3 left out', 'line 10', 'line 9', 'line 8']);
    expect(buffer.view().arrived).toBe(2);
  });

  it('has each record once, though the feed and the store both bring it', () => {
    const buffer = new LiveBuffer();
    buffer.push([record(1)], 0);
    buffer.backfill([record(1)]);
    buffer.push([record(1), record(2)], 0);
    expect(shown(buffer)).toEqual(['line 2', 'line 1']);
  });

  it('tells its watchers of a change, and of nothing else', () => {
    const buffer = new LiveBuffer();
    let calls = 0;
    const stop = buffer.watch(() => (calls += 1));
    buffer.push([], 0);
    buffer.take();
    expect(calls).toBe(0);
    buffer.push([record(1)], 0);
    expect(calls).toBe(1);
    stop();
    buffer.push([record(2)], 0);
    expect(calls).toBe(1);
  });
});
