import { describe, expect, it } from 'vitest';
import { duration, knownZone, relativeTime, siteDateTimeZone, siteTime, siteTimeMillis, zonesDiffer } from '@/lib/time';

const now = Date.parse('2026-11-23T02:40:00Z');

describe('the time of the site', () => {
  it.each([
    ['2026-11-23T02:31:13.123456Z', 'Europe/Berlin', '03:31:13'],
    ['2026-11-22T22:31:13Z', 'Europe/Berlin', '2026-11-22 23:31'],
    ['2026-11-22T23:31:13Z', 'Europe/Berlin', '00:31:13'],
    ['2026-11-23T02:31:13Z', 'UTC', '02:31:13'],
    ['yesterday', 'UTC', 'yesterday'],
  ])('%s in %s', (iso, zone, shown) => {
    expect(siteTime(iso, zone, now)).toBe(shown);
  });

  it('tells both hours of the night in which the clocks go back apart only by the zone of the record', () => {
    expect(siteDateTimeZone('2026-10-25T00:30:00Z', 'Europe/Berlin')).toBe('2026-10-25 02:30:00.000 Europe/Berlin');
    expect(siteDateTimeZone('2026-10-25T01:30:00Z', 'Europe/Berlin')).toBe('2026-10-25 02:30:00.000 Europe/Berlin');
  });

  it('shows milliseconds where lines follow each other within a second', () => {
    expect(siteTimeMillis('2026-11-23T02:31:13.123456Z', 'UTC')).toBe('02:31:13.123');
  });

  it('reads a zone that this browser does not know as UTC', () => {
    expect(knownZone('Mars/Olympus')).toBe('UTC');
    expect(knownZone('Asia/Tokyo')).toBe('Asia/Tokyo');
  });

  it.each([
    ['Europe/Berlin', 'Europe/Paris', false],
    ['Europe/Berlin', 'UTC', true],
    ['UTC', 'UTC', false],
  ])('%s against %s', (site, own, differ) => {
    expect(zonesDiffer(site, own, now)).toBe(differ);
  });
});

describe('ages', () => {
  it.each([
    [0, 'just now'],
    [42_000, '42 s ago'],
    [60_000, '1 min ago'],
    [3 * 3_600_000, '3 h ago'],
    [3 * 3_600_000 + 12 * 60_000, '3 h 12 min ago'],
    [50 * 3_600_000, '2 d 2 h ago'],
    [-7 * 60_000, 'in 7 min'],
  ])('%i ms', (ms, shown) => {
    expect(relativeTime(new Date(now - ms).toISOString(), now)).toBe(shown);
  });

  it('says nothing about a time that is none', () => {
    expect(relativeTime('', now)).toBe('');
    expect(duration(86_400_000)).toBe('1 d');
  });
});
