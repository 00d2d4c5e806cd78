import { ESLint } from 'eslint';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const web = join(import.meta.dirname, '../..');
const eslint = new ESLint({ cwd: web });

/** The rules that `code` breaks when it stands in `file`, which must be one that exists. */
async function broken(file: string, code: string): Promise<string[]> {
  const [result] = await eslint.lintText(`${code}\nexport const used = [x];\n`, { filePath: join(web, file) });
  return (result?.messages ?? []).map(({ ruleId }) => ruleId ?? 'unreadable');
}

// The first file that is linted waits for the types of the whole project.
describe('imports', { timeout: 180_000 }, () => {
  it.each([
    ['src/features/health/api/status.ts', `import { byUrgency as x } from '@/features/incidents/api/order';`],
    ['src/features/health/api/status.ts', `import { byUrgency as x } from '../../incidents/api/order';`],
    ['src/features/live/api/live-buffer.ts', `import { LiveCache as x } from '@/app/live-cache';`],
    ['src/ui/words.ts', `import { byUrgency as x } from '@/features/incidents/api/order';`],
    ['src/lib/paths.ts', `import { priorityWords as x } from '@/ui/words';`],
    ['src/lib/paths.ts', `import { hexId as x } from '@/testing/factories';`],
  ])('in %s do not go the wrong way: %s', async (file, code) => {
    expect(await broken(file, code)).toEqual(['import-x/no-restricted-paths']);
  });

  it.each([
    ['src/features/health/api/status.ts', `import { priorityWords as x } from '@/ui/words';`],
    ['src/app/router.tsx', `import { byUrgency as x } from '@/features/incidents/api/order';`],
    ['src/ui/words.ts', `import { paths as x } from '@/lib/paths';`],
  ])('in %s go the right way: %s', async (file, code) => {
    expect(await broken(file, code)).toEqual([]);
  });

  it('come from the file that has it: there are no barrels', async () => {
    expect(await broken('src/ui/words.ts', `export * from '@/lib/paths';\nconst x = 1;`)).toContain(
      'no-restricted-syntax',
    );
    const files = readdirSync(join(web, 'src'), { recursive: true }).map(String);
    expect(files.filter((file) => /(^|\/)index\.tsx?$/.test(file))).toEqual([]);
    expect(existsSync(join(web, 'src/gen/graphql.ts'))).toBe(true);
  });
});
