import { createContext, use } from 'react';

/** Where the plant stands. Every time on a page is in its zone, not in that of the browser. */
export interface Site {
  /** IANA name. */
  timeZone: string;
  name: string | undefined;
}

export const SiteContext = createContext<Site>({ timeZone: 'UTC', name: undefined });

export function useSite(): Site {
  return use(SiteContext);
}
