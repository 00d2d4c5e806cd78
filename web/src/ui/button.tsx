import type { ComponentProps } from 'react';
import { classNames } from '@/lib/class-names';

interface ButtonProps extends ComponentProps<'button'> {
  /** `primary`: the one thing to do here. */
  kind?: 'primary' | 'secondary' | 'quiet';
}

const kinds = {
  primary: 'bg-strong text-inverse border border-strong hover:bg-text',
  secondary: 'bg-raised border border-edge hover:border-text',
  quiet: 'border border-transparent hover:border-edge',
};

/** At least 48 px high, for gloves. */
export function Button({ kind = 'secondary', className, type = 'button', ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      className={classNames(
        'inline-flex min-h-target min-w-target items-center justify-center gap-2 rounded-sm px-4 text-sm font-semibold',
        'disabled:opacity-60 aria-disabled:opacity-60',
        kinds[kind],
        className,
      )}
      {...rest}
    />
  );
}
