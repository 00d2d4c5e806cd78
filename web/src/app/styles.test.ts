import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const css = readFileSync(join(import.meta.dirname, 'styles.css'), 'utf8');
const tokens = new Map(
  [...css.matchAll(/--color-([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name, day, night]) => [name ?? '', { day: day ?? '', night: night ?? '' }],
  ),
);

/** Contrast of WCAG 2. */
function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Text needs 4.5, a mark that is no text 3. */
const pairs: [string, string, number][] = [
  ...['ground', 'panel', 'raised'].flatMap((behind): [string, string, number][] => [
    ['text', behind, 7],
    ['secondary', behind, 4.5],
    ['edge', behind, 3],
  ]),
  ...['p1', 'p2', 'p3', 'p4', 'shelved', 'unknown'].flatMap((mark): [string, string, number][] => [
    [mark, 'panel', 4.5],
    [mark, 'raised', 3],
  ]),
  ...['p1', 'p2', 'p3', 'p4'].map((mark): [string, string, number] => ['on-mark', mark, 4.5]),
  ['shelved', 'panel', 4.5],
  ['inverse', 'strong', 7],
  ['inverse', 'text', 7],
];

describe('the colours', () => {
  it.each(pairs)('%s is readable on %s, by day and by night', (front, behind, least) => {
    for (const theme of ['day', 'night'] as const) {
      const ratio = contrast(tokens.get(front)?.[theme] ?? '', tokens.get(behind)?.[theme] ?? '');
      expect(ratio, theme).toBeGreaterThanOrEqual(least);
    }
  });
});
