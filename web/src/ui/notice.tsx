import type { ReactNode } from 'react';
import type { Fault } from '@/lib/errors';
import { classNames } from '@/lib/class-names';
import { Button } from '@/ui/button';

interface NoticeProps {
  title: string;
  children?: ReactNode;
  /** `alert` interrupts a screen reader, `status` waits for a pause. */
  role?: 'alert' | 'status';
  className?: string;
}

/** Something that a person should know and that is no alarm: so it is grey, with a heavy edge. */
export function Notice({ title, children, role = 'status', className }: NoticeProps) {
  return (
    <div
      role={role}
      className={classNames('border border-l-[6px] border-edge border-l-strong bg-raised px-4 py-3', className)}
    >
      <p className="font-semibold">{title}</p>
      {children !== undefined && <div className="mt-1 max-w-prose text-sm text-secondary">{children}</div>}
    </div>
  );
}

interface FaultNoticeProps {
  fault: Fault;
  onRetry?: () => void;
  children?: ReactNode;
  className?: string;
}

export function FaultNotice({ fault, onRetry, children, className }: FaultNoticeProps) {
  return (
    <Notice title={fault.title} role="alert" {...(className === undefined ? {} : { className })}>
      <p>{fault.advice}</p>
      {fault.detail !== undefined && <p className="mt-1 break-words">{fault.detail}</p>}
      {children}
      {onRetry && (
        <Button className="mt-3" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Notice>
  );
}

/** Nothing here, and whether that is good. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="px-4 py-10 text-center">
      <p className="text-lg font-semibold">{title}</p>
      {children !== undefined && <div className="mx-auto mt-1 max-w-prose text-sm text-secondary">{children}</div>}
    </div>
  );
}

/** Keeps its place while something loads. No spinner: nothing moves here but an unacknowledged alarm. */
export function Loading({ what }: { what: string }) {
  return (
    <p role="status" className="px-4 py-10 text-center text-secondary">
      Loading {what} …
    </p>
  );
}
