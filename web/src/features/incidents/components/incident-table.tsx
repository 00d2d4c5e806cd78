// As cards on a narrow screen the rows are no table to the browser any more, so each element says its role.
/* eslint jsx-a11y-x/no-redundant-roles: off, jsx-a11y-x/no-interactive-element-to-noninteractive-role: off */
import {
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  tableFeatures,
  useTable,
  type SortingState,
} from '@tanstack/react-table';
import { useState } from 'react';
import { Link } from 'react-router';
import { AckButton } from '@/features/incidents/components/ack-button';
import { StateLabel } from '@/features/incidents/components/state-label';
import { byUrgency, inHeldOrder, isUnacknowledged } from '@/features/incidents/api/order';
import type { IncidentSummaryFragment } from '@/gen/graphql';
import { classNames } from '@/lib/class-names';
import { paths } from '@/lib/paths';
import { PriorityMark } from '@/ui/priority-mark';
import { Time } from '@/ui/time';
import { subjectWords } from '@/ui/words';

const features = tableFeatures({ rowSortingFeature, sortedRowModel: createSortedRowModel() });
const helper = createColumnHelper<typeof features, IncidentSummaryFragment>();

/** Static: only the rows change. Below 768 px each row is a card, laid out by `cellLayout`. */
const columns = helper.columns([
  helper.display({
    id: 'priority',
    header: 'Priority',
    cell: ({ row: { original } }) => (
      <PriorityMark
        priority={original.priority}
        unacknowledged={isUnacknowledged(original.state)}
        shelved={original.state === 'SHELVED'}
      />
    ),
  }),
  helper.accessor('state', {
    header: 'State',
    enableSorting: false,
    cell: ({ row: { original } }) => <StateLabel incident={original} />,
  }),
  helper.accessor('title', {
    header: 'Incident',
    enableSorting: false,
    cell: ({ row: { original } }) => (
      <>
        <Link
          to={paths.incident(original.id)}
          className="line-clamp-2 py-1 font-semibold break-words underline decoration-edge underline-offset-4 hover:decoration-text"
        >
          {original.title}
        </Link>
        <span className="block text-sm break-words text-secondary">
          {original.ruleName}
          {original.errorType !== null && ` · ${original.errorType}`}
          {original.historical && ' · found late'}
        </span>
      </>
    ),
  }),
  helper.accessor((incident) => incident.subject.id, {
    id: 'subject',
    header: 'Subject',
    cell: ({ row: { original } }) => (
      <>
        <span className="font-semibold break-words md:font-normal">{original.subject.id}</span>
        <span className="text-sm text-secondary max-md:before:content-['_'] md:block">
          {subjectWords[original.subject.kind].toLowerCase()}
          {original.area !== null && `, ${original.area}`}
        </span>
      </>
    ),
  }),
  helper.accessor('count', {
    header: 'Count',
    sortDescFirst: true,
    cell: ({ getValue }) => (
      <>
        {getValue().toLocaleString('en')}
        <span className="text-secondary md:hidden"> {getValue() === 1 ? 'record' : 'records'}</span>
      </>
    ),
  }),
  helper.accessor('firstAt', {
    header: 'First',
    sortDescFirst: true,
    cell: ({ getValue }) => <Time iso={getValue()} />,
  }),
  helper.accessor('lastAt', {
    header: 'Last',
    sortDescFirst: true,
    cell: ({ getValue }) => <Time iso={getValue()} age="beside-when-narrow" />,
  }),
  helper.display({
    id: 'action',
    header: 'Acknowledge',
    cell: ({ row: { original } }) =>
      original.acknowledged && !isUnacknowledged(original.state) ? (
        <span className="text-sm text-secondary">by {original.acknowledged.by}</span>
      ) : (
        <AckButton incident={original} className="max-md:w-full" />
      ),
  }),
]);

const cellLayout: Record<string, string> = {
  priority: 'md:w-16 max-md:row-span-2 max-md:pt-1',
  state: 'md:w-36 max-md:col-span-2 max-md:col-start-2',
  title: 'min-w-0 max-md:col-span-2 max-md:col-start-2',
  subject: 'md:w-36 max-md:col-span-2 max-md:col-start-2',
  count: 'md:w-24 md:text-right max-md:col-start-2 max-md:pr-0 max-md:text-sm',
  firstAt: 'md:w-40 max-md:hidden',
  lastAt: 'md:w-40 max-md:text-sm max-md:text-secondary',
  action: 'md:w-44 max-md:col-span-2 max-md:col-start-2 max-md:pt-2',
};

interface IncidentTableProps {
  incidents: readonly IncidentSummaryFragment[];
}

/** Open incidents, most urgent first, or as a heading says. Rows keep their places while a pointer or the focus is among them. */
export function IncidentTable({ incidents }: IncidentTableProps) {
  const [sorting, setSorting] = useState<SortingState>([]);
  const [held, setHeld] = useState<readonly string[] | undefined>(undefined);
  const urgent = incidents.toSorted(byUrgency);
  const data = held === undefined ? urgent : inHeldOrder(urgent, held);
  const hold = () => {
    setHeld((before) => before ?? urgent.map(({ id }) => id));
  };
  const release = () => {
    setHeld(undefined);
  };
  return (
    // Not something to press: it notices that somebody is about to press a row.
    // eslint-disable-next-line jsx-a11y-x/no-static-element-interactions
    <div onPointerEnter={hold} onPointerLeave={release} onFocus={hold} onBlur={release}>
      <Rows data={data} sorting={sorting} onSortingChange={setSorting} />
    </div>
  );
}

interface RowsProps {
  data: IncidentSummaryFragment[];
  sorting: SortingState;
  onSortingChange: (sorting: SortingState) => void;
}

function Rows({ data, sorting, onSortingChange }: RowsProps) {
  const table = useTable({
    features,
    columns,
    data,
    getRowId: ({ id }) => id,
    state: { sorting },
    onSortingChange: (change) => {
      onSortingChange(typeof change === 'function' ? change(sorting) : change);
    },
  });
  return (
    <table role="table" className="w-full border-collapse text-left max-md:block md:table-fixed">
      <caption className="sr-only">Open incidents, most urgent first</caption>
      <thead role="rowgroup" className="max-md:sr-only">
        {table.getHeaderGroups().map((group) => (
          <tr key={group.id} role="row" className="border-b border-line text-sm text-secondary">
            {group.headers.map((header) => {
              const sorted = header.column.getIsSorted();
              return (
                <th
                  key={header.id}
                  role="columnheader"
                  scope="col"
                  aria-sort={sorted === false ? undefined : sorted === 'asc' ? 'ascending' : 'descending'}
                  className={classNames(
                    'px-3 font-normal',
                    header.column.id === 'count' && 'text-right',
                    cellLayout[header.column.id],
                  )}
                >
                  {header.column.getCanSort() ? (
                    <button
                      type="button"
                      onClick={header.column.getToggleSortingHandler()}
                      className="relative -mx-2 min-h-target px-2 hover:underline"
                    >
                      <table.FlexRender header={header} />
                      <span aria-hidden="true" className="absolute">
                        {sorted === false ? '' : sorted === 'asc' ? ' ↑' : ' ↓'}
                      </span>
                    </button>
                  ) : (
                    <table.FlexRender header={header} />
                  )}
                </th>
              );
            })}
          </tr>
        ))}
      </thead>
      <tbody role="rowgroup" className="max-md:block">
        {table.getRowModel().rows.map((row) => (
          <tr
            key={row.id}
            role="row"
            className="border-b border-line align-middle last:border-b-0 max-md:grid max-md:grid-cols-[3.5rem_auto_minmax(0,1fr)] max-md:px-1 max-md:py-3 md:hover:bg-raised"
          >
            {row.getAllCells().map((cell) => (
              <td key={cell.id} role="cell" className={classNames('px-3 md:py-2', cellLayout[cell.column.id])}>
                <table.FlexRender cell={cell} />
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
