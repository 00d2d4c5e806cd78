import type { Level } from '@/gen/graphql';
import { classNames } from '@/lib/class-names';

/** The level of a log line is no alarm: it is told by weight and fill, so that colour stays with incidents. */
const looks: Record<Level, string> = {
  TRACE: 'text-secondary',
  DEBUG: 'text-secondary',
  INFO: '',
  WARN: 'border border-edge font-semibold',
  ERROR: 'bg-strong text-inverse font-semibold',
  FATAL: 'bg-text text-inverse font-bold outline-2 outline-offset-1 outline-text',
};

export function LevelTag({ level }: { level: Level | null }) {
  return (
    <span
      className={classNames(
        'inline-block w-14 px-1 text-center text-xs leading-5',
        level === null ? 'text-secondary' : looks[level],
      )}
    >
      {level ?? 'reading'}
    </span>
  );
}
