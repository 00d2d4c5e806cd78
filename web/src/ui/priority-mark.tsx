import type { Priority } from '@/gen/graphql';
import { classNames } from '@/lib/class-names';
import { priorityWords } from '@/ui/words';

interface PriorityMarkProps {
  priority: Priority;
  /** The ring comes and goes until somebody acknowledges; who asked for less motion sees a thick one. */
  unacknowledged?: boolean;
  /** Nobody is told while it is shelved: the mark loses its priority's colour. */
  shelved?: boolean;
  className?: string;
}

/** Square, triangle, inverted triangle, circle: told apart without colour. The ring stands 3 units around each. */
const shapes: Record<Priority, { body: string; ring: string; numberY: number; size: number }> = {
  P1: { body: 'M7 7h22v22H7z', ring: 'M3 3h30v30H3z', numberY: 23.5, size: 15 },
  P2: { body: 'M18 8 30 29H6z', ring: 'M18 2.15 35 31.9H1z', numberY: 26.5, size: 13 },
  P3: { body: 'M18 28 30 7H6z', ring: 'M18 33.85 35 4.1H1z', numberY: 18.5, size: 13 },
  P4: {
    body: 'M18 6a12 12 0 1 0 0 24a12 12 0 1 0 0-24z',
    ring: 'M18 2a16 16 0 1 0 0 32a16 16 0 1 0 0-32z',
    numberY: 23.5,
    size: 15,
  },
};

const fills: Record<Priority, string> = {
  P1: 'fill-p1 stroke-p1',
  P2: 'fill-p2 stroke-p2',
  P3: 'fill-p3 stroke-p3',
  P4: 'fill-p4 stroke-p4',
};

/** The priority of an incident: colour, shape and number say the same. */
export function PriorityMark({ priority, unacknowledged = false, shelved = false, className }: PriorityMarkProps) {
  const label = shelved ? `${priorityWords[priority]}, shelved` : priorityWords[priority];
  const { body, ring, numberY, size } = shapes[priority];
  if (shelved) return <ShelvedMark label={label} number={priority.slice(1)} className={className} />;
  return (
    <svg
      viewBox="0 0 36 36"
      role="img"
      aria-label={label}
      className={classNames('size-9 shrink-0', fills[priority], className)}
    >
      <title>{label}</title>
      {unacknowledged && (
        <path
          d={ring}
          className="animate-unacknowledged fill-transparent motion-reduce:[stroke-width:3]"
          strokeWidth="1.8"
          strokeLinejoin="round"
        />
      )}
      <path d={body} stroke="none" />
      <text
        x="18"
        y={numberY}
        textAnchor="middle"
        fontSize={size}
        fontWeight="700"
        stroke="none"
        className="fill-on-mark"
      >
        {priority.slice(1)}
      </text>
    </svg>
  );
}

function ShelvedMark({ label, number, className }: { label: string; number: string; className: string | undefined }) {
  return (
    <svg
      viewBox="0 0 36 36"
      role="img"
      aria-label={label}
      className={classNames('size-9 shrink-0 fill-transparent stroke-shelved', className)}
    >
      <title>{label}</title>
      <path d="M18 3 33 18 18 33 3 18z" strokeWidth="2" strokeLinejoin="round" />
      <path d="M8 13l15 15M13 8l15 15M5.5 20.5l10 10M20.5 5.5l10 10" strokeWidth="1" opacity=".55" />
      <circle cx="18" cy="18" r="8" className="fill-panel" stroke="none" />
      <text x="18" y="23.5" textAnchor="middle" fontSize="15" fontWeight="700" stroke="none" className="fill-shelved">
        {number}
      </text>
    </svg>
  );
}
