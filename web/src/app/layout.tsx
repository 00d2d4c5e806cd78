import { Suspense, type ReactNode } from 'react';
import { NavLink, Outlet, ScrollRestoration } from 'react-router';
import { ConnectionBanner } from '@/app/connection-banner';
import { Announcer } from '@/features/incidents/components/announcer';
import { useStatus } from '@/features/health/api/status';
import { classNames } from '@/lib/class-names';
import { useNowMs } from '@/lib/clock';
import { paths } from '@/lib/paths';
import { SiteContext, useSite } from '@/lib/site';
import { knownZone, siteTime, zonesDiffer } from '@/lib/time';
import { useUiStore, type Theme } from '@/lib/ui-store';
import { Loading } from '@/ui/notice';

/** Frame of every page: where you are, what time it is there, and whether what you see is of now. */
export function Layout() {
  const { status } = useStatus();
  const site = { timeZone: knownZone(status?.timeZone ?? 'UTC'), name: status?.siteName ?? undefined };
  return (
    <SiteContext value={site}>
      <Frame>
        <Announcer />
        <Suspense fallback={<Loading what="the page" />}>
          <Outlet />
        </Suspense>
      </Frame>
    </SiteContext>
  );
}

function Frame({ children }: { children: ReactNode }) {
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:absolute focus:z-20 focus:bg-raised focus:px-4 focus:py-3"
      >
        To the page
      </a>
      <header className="flex flex-wrap items-center gap-x-6 border-b border-line bg-ground px-4 max-md:gap-x-2 max-md:px-0">
        <SiteName />
        <nav aria-label="Pages" className="flex max-md:order-last max-md:w-full max-md:border-t max-md:border-line">
          <Tab to={paths.now()}>Now</Tab>
          <Tab to={paths.live()}>Live</Tab>
        </nav>
        <div className="ml-auto flex items-center gap-4 max-md:gap-1 max-md:pr-2">
          <SiteClock />
          <ThemeButton />
        </div>
      </header>
      <ConnectionBanner />
      <main id="main" tabIndex={-1} className="flex min-w-0 flex-1 flex-col outline-none">
        {children}
      </main>
      <ScrollRestoration />
    </div>
  );
}

function SiteName() {
  const { name } = useSite();
  return (
    <p className="flex min-h-14 items-center gap-2 font-bold max-md:pl-4">
      <svg viewBox="0 0 24 24" aria-hidden="true" className="size-6 fill-transparent stroke-text" strokeWidth="2.4">
        <path d="M12 2v7" />
        <path d="M5 21 12 9l7 12z" strokeLinejoin="round" />
      </svg>
      Andon
      {name !== undefined && (
        <span className="max-w-48 truncate font-normal max-sm:max-w-20 lg:max-w-96 text-secondary">{name}</span>
      )}
    </p>
  );
}

function Tab({ to, children }: { to: string; children: ReactNode }) {
  return (
    <NavLink
      to={to}
      end
      className={({ isActive }) =>
        classNames(
          'inline-flex min-h-14 min-w-20 items-center justify-center border-y-4 border-transparent px-4 font-semibold max-md:flex-1 max-md:min-h-target',
          isActive ? 'border-b-text' : 'text-secondary hover:border-b-edge',
        )
      }
    >
      {children}
    </NavLink>
  );
}

/** The site's time, with its zone where this device shows another time. */
function SiteClock() {
  const { timeZone } = useSite();
  const nowMs = useNowMs();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const differ = zonesDiffer(timeZone, own, nowMs);
  return (
    <p
      className="text-right text-sm leading-tight"
      title={`All times are those of the site, ${timeZone}${differ ? `, and not of this device, ${own}` : ''}`}
    >
      <span className="font-semibold">{siteTime(new Date(nowMs).toISOString(), timeZone, nowMs)}</span>
      <span className="block text-xs text-secondary">
        {differ && <b className="font-semibold text-text max-sm:sr-only">site time, </b>}
        {timeZone}
      </span>
    </p>
  );
}

const themes: Record<Theme, { next: Theme; label: string }> = {
  system: { next: 'day', label: 'Auto' },
  day: { next: 'night', label: 'Day' },
  night: { next: 'system', label: 'Night' },
};

function ThemeButton() {
  const theme = useUiStore((state) => state.theme);
  const setTheme = useUiStore((state) => state.setTheme);
  const { next, label } = themes[theme];
  return (
    <button
      type="button"
      aria-label={`Theme: ${label}. Change to ${themes[next].label}`}
      className="inline-flex min-h-target min-w-target items-center justify-center gap-2 border border-transparent px-2 text-sm hover:border-edge"
      onClick={() => {
        setTheme(next);
      }}
    >
      <svg viewBox="0 0 20 20" aria-hidden="true" className="size-4 fill-text stroke-text">
        <circle cx="10" cy="10" r="8" className="fill-transparent" strokeWidth="2" />
        {theme !== 'day' && (
          <path d={theme === 'night' ? 'M10 2a8 8 0 1 0 0 16 8 8 0 1 0 0-16z' : 'M10 2a8 8 0 0 1 0 16z'} />
        )}
      </svg>
      <span className="max-sm:sr-only">{label}</span>
    </button>
  );
}
