import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState } from 'react';
import type { LiveBuffer, TailRow, TailView } from '@/features/live/api/live-buffer';
import { TailLine } from '@/features/live/components/tail-line';
import { Button } from '@/ui/button';
import { Empty, Loading } from '@/ui/notice';
import { counted } from '@/ui/words';

/** Above this distance from the top a person reads older lines: they must not move. */
const SCROLLED_PX = 4;

/** Why the lines stand still, the strongest first. */
const reasons = {
  paused: 'Paused.',
  open: 'Held while a line is open.',
  selecting: 'Held while text is selected.',
  scrolled: 'Held while you read older lines.',
  pointer: 'Held while the pointer is over the lines.',
  focus: 'Held while a line has the focus.',
} as const;
type Reason = keyof typeof reasons;

interface TailProps {
  buffer: LiveBuffer;
  view: TailView;
  paused: boolean;
  loading: boolean;
  filtered: boolean;
}

/** The live tail, newest line on top. It stands still as soon as somebody reads it: what arrives waits behind "n new". */
export function Tail({ buffer, view, paused, loading, filtered }: TailProps) {
  const [held, setHeld] = useState<ReadonlySet<Reason>>(new Set());
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const scroller = useRef<HTMLDivElement>(null);
  const [jumps, setJumps] = useState(0);

  const hold = (reason: Reason, on: boolean) => {
    setHeld((before) => {
      if (before.has(reason) === on) return before;
      const after = new Set(before);
      if (on) after.add(reason);
      else after.delete(reason);
      return after;
    });
  };

  useEffect(() => {
    const onSelection = () => {
      const selection = document.getSelection();
      const inside = scroller.current?.contains(selection?.anchorNode ?? null) ?? false;
      hold('selecting', inside && selection !== null && !selection.isCollapsed);
    };
    document.addEventListener('selectionchange', onSelection);
    return () => {
      document.removeEventListener('selectionchange', onSelection);
    };
  }, []);

  const active = (Object.keys(reasons) as Reason[]).filter(
    (reason) => held.has(reason) || (reason === 'paused' && paused) || (reason === 'open' && open.size > 0),
  );
  const frozen = active.length > 0;
  useEffect(() => {
    buffer.setFrozen(frozen);
  }, [buffer, frozen]);

  const reason = active[0];
  return (
    <div className="relative flex min-h-0 flex-1 flex-col border border-line bg-panel">
      <div className="flex min-h-14 flex-wrap items-center gap-x-4 border-b border-line px-3 py-0.5 text-sm text-secondary">
        <span className={frozen ? 'font-semibold text-text' : ''}>
          {reason === undefined ? 'Following, newest on top.' : reasons[reason]}
        </span>
        <span>{counted(view.arrived, 'record')} arrived</span>
        {view.leftOut > 0 && (
          <span className="font-semibold text-text">
            {counted(view.leftOut, 'record')} left out: more arrive than can be shown. Narrow the filter.
          </span>
        )}
        {view.fresh > 0 && frozen && (
          <Button
            kind="primary"
            className="ml-auto rounded-full px-6"
            onClick={() => {
              buffer.take();
              setOpen(new Set());
              setJumps((before) => before + 1);
            }}
          >
            {view.fresh.toLocaleString('en')} new
          </Button>
        )}
      </div>
      {view.rows.length === 0 ? (
        loading ? (
          <Loading what="the last records" />
        ) : (
          <Empty title="No records yet">
            {filtered
              ? 'None matches this filter. A new one shows as soon as it arrives.'
              : 'A new one shows as soon as it arrives.'}
          </Empty>
        )
      ) : (
        <Lines
          rows={view.rows}
          scroller={scroller}
          open={open}
          jumps={jumps}
          onToggle={(key) => {
            setOpen((before) => {
              const after = new Set(before);
              if (!after.delete(key)) after.add(key);
              return after;
            });
          }}
          hold={hold}
        />
      )}
    </div>
  );
}

interface LinesProps {
  rows: readonly TailRow[];
  scroller: React.RefObject<HTMLDivElement | null>;
  open: ReadonlySet<string>;
  /** Each change brings the newest line into view. */
  jumps: number;
  onToggle: (key: string) => void;
  hold: (reason: Reason, on: boolean) => void;
}

function Lines({ rows, scroller, open, jumps, onToggle, hold }: LinesProps) {
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 34,
    getItemKey: (index) => rows[index]?.key ?? index,
    overscan: 12,
  });
  useEffect(() => {
    // By the virtualiser: it would correct a scroll of ours for the heights that it has yet to measure.
    if (jumps > 0) virtualizer.scrollToIndex(0);
  }, [jumps, virtualizer]);
  return (
    // Not something to press: it notices that somebody reads.
    // eslint-disable-next-line jsx-a11y-x/no-noninteractive-element-interactions
    <div
      ref={scroller}
      // It scrolls, so the keyboard must reach it.
      // eslint-disable-next-line jsx-a11y-x/no-noninteractive-tabindex
      tabIndex={0}
      role="group"
      aria-label="Records, newest first"
      className="min-h-0 flex-1 overflow-auto overscroll-contain [overflow-anchor:none]"
      onScroll={(event) => {
        hold('scrolled', event.currentTarget.scrollTop > SCROLLED_PX);
      }}
      onPointerEnter={(event) => {
        if (event.pointerType !== 'touch') hold('pointer', true);
      }}
      onPointerLeave={() => {
        hold('pointer', false);
      }}
      onFocus={(event) => {
        if (event.target !== event.currentTarget) hold('focus', event.target.matches(':focus-visible'));
      }}
      onBlur={() => {
        hold('focus', false);
      }}
    >
      <ol className="relative" style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <li
              key={item.key}
              ref={virtualizer.measureElement}
              data-index={item.index}
              className="absolute inset-x-0 top-0 border-b border-line"
              style={{ transform: `translateY(${item.start}px)` }}
            >
              {row.kind === 'record' ? (
                <TailLine
                  record={row.record}
                  open={open.has(row.key)}
                  onToggle={() => {
                    onToggle(row.key);
                  }}
                />
              ) : (
                <p className="bg-raised px-3 py-1.5 text-center text-sm font-semibold">
                  {counted(row.count, 'record')} left out here
                </p>
              )}
            </li>
          );
        })}
      </ol>
    </div>
  );
}
