// Types from dashboard-api/schema.graphql and from the operations beside the code that sends them (src/**/*.graphql):
//   src/gen/graphql.ts         a typed document node per operation and fragment, with the types of its variables and its answer
//   src/gen/schema.ts          every type of the schema, for tests and the mock service
// `--check` changes nothing and fails when what is committed is stale.
import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as typescript from '@graphql-codegen/typescript';
import * as operations from '@graphql-codegen/typescript-operations';
import { buildSchema, isScalarType, isSpecifiedScalarType, parse, printSchema, validate } from 'graphql';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as prettier from 'prettier';

const web = fileURLToPath(new URL('..', import.meta.url));
const schemaFile = join(web, '../dashboard-api/schema.graphql');
const check = process.argv.includes('--check');

/** What each scalar of the schema is in JSON. One that is missing here stops the generator: nothing is `any`. */
const scalars = {
  ID: 'string',
  /** RFC 3339 in UTC with microseconds. */
  DateTime: 'string',
  /** 0 to 2^53 - 1, so a JavaScript number holds it exactly. */
  Long: 'number',
};

const schema = buildSchema(readFileSync(schemaFile, 'utf8'));
const unknown = Object.values(schema.getTypeMap()).filter(
  (type) => isScalarType(type) && !isSpecifiedScalarType(type) && !(type.name in scalars),
);
if (unknown.length > 0) fail(`scalars without a TypeScript type in scripts/codegen.js: ${unknown.join(', ')}`);

const documents = readdirSync(join(web, 'src'), { recursive: true })
  .map(String)
  .filter((name) => name.endsWith('.graphql'))
  .sort()
  .map((name) => ({ location: join('src', name), document: parse(readFileSync(join(web, 'src', name), 'utf8')) }));

const whole = { kind: 'Document', definitions: documents.flatMap(({ document }) => document.definitions) };
const faults = validate(schema, whole);
if (faults.length > 0) fail(faults.map((fault) => fault.message).join('\n'));

const header = '// Written by `npm run codegen` from dashboard-api/schema.graphql. Do not edit.\n';
const common = { scalars, strictScalars: true, enumsAsTypes: true, enumType: 'string-literal', useTypeImports: true };
const base = { schema: parse(printSchema(schema)), schemaAst: schema, documents, skipDocumentsValidation: true };

await write('src/gen/graphql.ts', {
  ...base,
  plugins: [
    { 'typescript-operations': { ...common, skipTypename: false } },
    { 'typed-document-node': { ...common, optimizeDocumentNode: true } },
  ],
  pluginMap: { 'typescript-operations': operations, 'typed-document-node': typedDocumentNode },
});
await write('src/gen/schema.ts', {
  ...base,
  documents: [],
  plugins: [{ typescript: { ...common, nonOptionalTypename: true, avoidOptionals: { field: true } } }],
  pluginMap: { typescript },
});

async function write(file, options) {
  const path = join(web, file);
  const code = header + (await codegen({ filename: path, config: {}, ...options }));
  const settings = await prettier.resolveConfig(path);
  const text = await prettier.format(code, { ...settings, filepath: path });
  if (!check) return writeFileSync(path, text);
  let committed;
  try {
    committed = readFileSync(path, 'utf8');
  } catch {
    committed = '';
  }
  if (committed !== text) fail(`${relative(web, path)} is stale: run npm run codegen`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
