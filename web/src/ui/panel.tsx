import { useId, type ReactNode } from 'react';
import { classNames } from '@/lib/class-names';

interface PanelProps {
  title: string;
  /** Beside the title: a count, a link. */
  aside?: ReactNode;
  className?: string;
  children: ReactNode;
}

export function Panel({ title, aside, className, children }: PanelProps) {
  const id = useId();
  return (
    <section aria-labelledby={id} className={classNames('border border-line bg-panel', className)}>
      <header className="flex min-h-11 items-center justify-between gap-4 border-b border-line px-4 py-1">
        <h2 id={id} className="text-sm font-semibold">
          {title}
        </h2>
        {aside}
      </header>
      {children}
    </section>
  );
}
