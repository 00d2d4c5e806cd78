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

/** Square, triangle, inverted triangle, circle: told apart without colour. All within 28 of 36 units, so that the ring fits around. */
const shapes: Record<Priority, { body: string; ring: string; numberY: number }> = {
  P1: { body: 'M5 5h26v26H5z', ring: 'M2 2h32v32H2z', numberY: 24 },
  P2: { body: 'M18 4 33 31H3z', ring: 'M18 .5 35.6 33.5H.4z', numberY: 27.5 },
  P3: { body: 'M18 32 33 5H3z', ring: 'M18 35.5 35.6 2.5H.4z', numberY: 20.5 },
  P4: {
    body: 'M18 4a14 14 0 1 0 0 28a14 14 0 1 0 0-28z',
    ring: 'M18 1.2a16.8 16.8 0 1 0 0 33.6a16.8 16.8 0 1 0 0-33.6z',
    numberY: 24,
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
  const { body, ring, numberY } = shapes[priority];
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
          className="animate-unacknowledged fill-transparent motion-reduce:stroke-[3]"
          strokeWidth="1.6"
          strokeLinejoin="round"
        />
      )}
      <path d={body} stroke="none" />
      <text
        x="18"
        y={numberY}
        textAnchor="middle"
        fontSize="17"
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
