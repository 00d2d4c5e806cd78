import { useEffect, useState, type ReactNode } from 'react';
import { useSearchParams } from 'react-router';
import { levels, readRecordFilter, writeRecordFilter, type RecordFilterState } from '@/lib/record-filter';
import { useSite } from '@/lib/site';
import { siteDateTimeZone } from '@/lib/time';
import { Button } from '@/ui/button';

/** Typing settles for this long before the address, and with it the subscription, changes. */
const SETTLE_MS = 350;

const field =
  'min-h-target w-full min-w-0 border border-edge bg-raised px-3 text-base sm:text-sm placeholder:text-secondary';

/** The filter of the page. It lives in the address: a reload, the back button and a shared link keep it. */
export function FilterBar() {
  const [search, setSearch] = useSearchParams();
  const inUrl = writeRecordFilter(readRecordFilter(search)).toString();
  // What is being typed, and the address it was typed over. When the address changes by itself (back, a link) it wins.
  const [draft, setDraft] = useState({ over: inUrl, filter: readRecordFilter(search) });
  if (draft.over !== inUrl) setDraft({ over: inUrl, filter: readRecordFilter(search) });

  const typed = writeRecordFilter(draft.filter).toString();
  useEffect(() => {
    if (typed === inUrl) return;
    const timer = setTimeout(() => {
      setDraft(({ filter }) => ({ over: typed, filter }));
      setSearch(new URLSearchParams(typed), { replace: true });
    }, SETTLE_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [typed, inUrl, setSearch]);

  const change = (part: Partial<Record<keyof RecordFilterState, string>>) => {
    setDraft(({ over, filter }) => ({ over, filter: { ...filter, ...part } as RecordFilterState }));
  };
  const { filter } = draft;
  const empty = typed === '' && inUrl === '';
  return (
    <form
      role="search"
      aria-label="Filter the records"
      className="grid grid-cols-3 gap-2 md:grid-cols-[minmax(12rem,2fr)_9rem_minmax(8rem,1fr)_minmax(8rem,1fr)_auto]"
      onSubmit={(event) => {
        event.preventDefault();
        setSearch(new URLSearchParams(typed), { replace: true });
      }}
    >
      <Labelled
        label="Words in the message"
        className={empty ? 'max-md:col-span-3' : 'max-md:-order-2 max-md:col-span-2'}
      >
        <input
          type="search"
          className={field}
          placeholder='Words, or "a phrase"'
          value={filter.text ?? ''}
          onChange={(event) => {
            change({ text: event.target.value });
          }}
        />
      </Labelled>
      <Labelled label="Least level">
        <select
          className={`${field} max-sm:px-1`}
          value={filter.minLevel ?? ''}
          onChange={(event) => {
            change({ minLevel: event.target.value });
          }}
        >
          <option value="">Any level</option>
          {levels.map((level) => (
            <option key={level} value={level}>
              {level === 'FATAL' ? 'FATAL' : `${level} and above`}
            </option>
          ))}
        </select>
      </Labelled>
      <Labelled label="Device">
        <input
          className={field}
          placeholder="Device"
          autoCapitalize="off"
          autoCorrect="off"
          spellCheck={false}
          value={filter.deviceId ?? ''}
          onChange={(event) => {
            change({ deviceId: event.target.value });
          }}
        />
      </Labelled>
      <Labelled label="Application">
        <input
          className={field}
          placeholder="Application"
          autoCapitalize="off"
          autoCorrect="off"
          spellCheck={false}
          value={filter.application ?? ''}
          onChange={(event) => {
            change({ application: event.target.value });
          }}
        />
      </Labelled>
      <Others
        filter={filter}
        onRemove={(key) => {
          const { [key]: _removed, ...rest } = filter;
          setDraft({ over: inUrl, filter: rest });
        }}
      />
      {!empty && (
        <Button
          className="max-md:-order-1 md:col-start-5 md:row-start-1"
          onClick={() => {
            setDraft({ over: inUrl, filter: {} });
            setSearch(new URLSearchParams(), { replace: true });
          }}
        >
          Clear
        </Button>
      )}
    </form>
  );
}

/** What only links ask for: shown, so that nobody takes a part for the whole, and to be taken away. */
function Others({
  filter,
  onRemove,
}: {
  filter: RecordFilterState;
  onRemove: (key: 'userId' | 'area' | 'from') => void;
}) {
  const { timeZone } = useSite();
  const { userId, area, from } = filter;
  const words = {
    ...(userId === undefined ? {} : { userId: `User ${userId}` }),
    ...(area === undefined ? {} : { area: `Area ${area}` }),
    ...(from === undefined ? {} : { from: `Since ${siteDateTimeZone(from, timeZone)}` }),
  };
  const given = (['userId', 'area', 'from'] as const).filter((key) => key in words);
  if (given.length === 0) return null;
  return (
    <ul className="col-span-full flex flex-wrap gap-2">
      {given.map((key) => (
        <li key={key} className="flex max-w-full items-center border border-edge bg-raised pl-3 text-sm">
          <span className="min-w-0 break-words">{words[key]}</span>
          <Button
            kind="quiet"
            aria-label={`Remove: ${words[key] ?? ''}`}
            onClick={() => {
              onRemove(key);
            }}
          >
            ✕
          </Button>
        </li>
      ))}
    </ul>
  );
}

function Labelled({ label, className, children }: { label: string; className?: string; children: ReactNode }) {
  return (
    <label className={className}>
      <span className="sr-only">{label}</span>
      {children}
    </label>
  );
}
