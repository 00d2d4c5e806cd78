import js from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import importX from 'eslint-plugin-import-x';
import jsxA11y from 'eslint-plugin-jsx-a11y-x';
import reactHooks from 'eslint-plugin-react-hooks';
import globals from 'globals';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';

const here = dirname(fileURLToPath(import.meta.url));
const features = readdirSync(`${here}/src/features`);

/**
 * Imports go one way: shared (ui, lib, gen) ← features ← app, and no feature knows another one; what belongs to two of
 * them is composed in app/routes or moves to shared. Built from the folder list, so that a new feature is held at once.
 */
const zones = [
  ...features.map((feature) => ({
    target: './src/features/' + feature,
    from: './src/features',
    except: ['./' + feature],
    message: 'A feature knows no other feature: compose them in app/routes, or move what they share to lib or ui.',
  })),
  {
    target: './src/features',
    from: './src/app',
    message: 'Features do not know the app that composes them.',
  },
  ...['ui', 'lib', 'gen'].map((shared) => ({
    target: './src/' + shared,
    from: ['./src/features', './src/app'],
    message: 'Shared code knows neither features nor the app.',
  })),
  { target: './src/lib', from: './src/ui', message: 'lib is below ui.' },
  {
    target: ['./src/app', './src/features', './src/ui', './src/lib'],
    from: ['./src/testing', './e2e'],
    message: 'Test helpers stay out of the product.',
  },
];

const testFiles = ['src/**/*.test.{ts,tsx}', 'src/testing/**', 'e2e/**'];

export default tseslint.config(
  { ignores: ['dist', 'coverage', 'src/gen', 'node_modules'] },
  js.configs.recommended,
  {
    files: ['**/*.{ts,tsx}'],
    extends: [
      ...tseslint.configs.strictTypeChecked,
      reactHooks.configs.flat['recommended-latest'],
      jsxA11y.configs.strict,
    ],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: here },
      globals: globals.browser,
    },
    settings: {
      'import-x/resolver-next': [createTypeScriptImportResolver({ project: `${here}/tsconfig.json` })],
    },
    rules: {
      'import-x/no-restricted-paths': ['error', { basePath: here, zones }],
      'import-x/no-cycle': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ExportAllDeclaration',
          message: 'No barrels: import from the file that has it.',
        },
        {
          selector: 'JSXAttribute[name.name="dangerouslySetInnerHTML"]',
          message: 'What a machine or a person sent is shown as text, never as HTML.',
        },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      // It is about the React Compiler, which we do not use.
      'react-hooks/incompatible-library': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
    },
  },
  {
    files: testFiles,
    rules: {
      'import-x/no-restricted-paths': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['*.config.ts', 'scripts/**', 'e2e/**', 'eslint.config.js', 'public/**'],
    languageOptions: { globals: { ...globals.node, ...globals.browser } },
    rules: { 'no-console': 'off' },
  },
);
