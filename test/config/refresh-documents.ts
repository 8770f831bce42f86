import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configJsonSchema, configReference } from '../../src/config/index.ts';
import { limitsTables } from './limits-table.ts';

/** Writes the generated parts of docs/ anew: `node test/config/refresh-documents.ts`. */
const docs = (name: string): string =>
  fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));

function put(document: string, name: string, content: string): void {
  const [start, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const text = readFileSync(docs(document), 'utf8');
  const before = text.slice(0, text.indexOf(start) + start.length);
  writeFileSync(docs(document), `${before}\n\n${content}\n\n${text.slice(text.indexOf(end))}`);
}

put('configuration.md', 'keys', configReference());
put('limits.md', 'limits', limitsTables());
writeFileSync(docs('config.schema.json'), `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`);
