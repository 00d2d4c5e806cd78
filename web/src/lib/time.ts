const formats = new Map<string, Intl.DateTimeFormat>();

/** Building a formatter costs more than using it a hundred times. */
function format(
  zone: string,
  key: 'time' | 'dateTime' | 'dateTimeMillis' | 'dateMinute' | 'date' | 'millis',
): Intl.DateTimeFormat {
  const name = `${key} ${zone}`;
  let found = formats.get(name);
  if (!found) {
    const time = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const;
    const date = { year: 'numeric', month: '2-digit', day: '2-digit' } as const;
    const options = {
      time,
      date,
      dateTime: { ...date, ...time },
      dateMinute: { ...date, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
      millis: { ...time, fractionalSecondDigits: 3 },
      dateTimeMillis: { ...date, ...time, fractionalSecondDigits: 3 },
    }[key] as Intl.DateTimeFormatOptions;
    // sv-SE writes dates as ISO 8601 does: the one order that nobody misreads.
    found = new Intl.DateTimeFormat('sv-SE', { ...options, timeZone: zone });
    formats.set(name, found);
  }
  return found;
}

/** The zone, or UTC where this browser does not know it. */
export function knownZone(zone: string): string {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone;
  } catch {
    return 'UTC';
  }
}

/** `14:03:07` where it is the site's today, else `2026-11-22 14:03`. */
export function siteTime(iso: string, zone: string, nowMs: number): string {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return iso;
  const sameDay = format(zone, 'date').format(at) === format(zone, 'date').format(nowMs);
  return format(zone, sameDay ? 'time' : 'dateMinute').format(at);
}

/** `14:03:07.123`: where lines follow each other within a second. */
export function siteTimeMillis(iso: string, zone: string): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? iso : format(zone, 'millis').format(at).replace(',', '.');
}

/** `2026-11-22 14:03:07.123 Europe/Berlin`: nothing left to guess. */
export function siteDateTimeZone(iso: string, zone: string): string {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? iso : `${format(zone, 'dateTimeMillis').format(at).replace(',', '.')} ${zone}`;
}

/** `just now`, `42 s ago`, `7 min ago`, `3 h 12 min ago`, `5 d 2 h ago`; `in 7 min` for what is to come. */
export function relativeTime(iso: string, nowMs: number): string {
  const ms = nowMs - Date.parse(iso);
  if (Number.isNaN(ms)) return '';
  if (ms > -2_000 && ms < 2_000) return 'just now';
  return ms < 0 ? `in ${duration(-ms)}` : `${duration(ms)} ago`;
}

/** `42 s`, `7 min`, `3 h 12 min`, `5 d 2 h`. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

/** Does the site's clock show another time than this device's zone does? */
export function zonesDiffer(site: string, own: string, nowMs: number): boolean {
  return format(knownZone(site), 'dateTime').format(nowMs) !== format(knownZone(own), 'dateTime').format(nowMs);
}
