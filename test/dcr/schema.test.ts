import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { elementNames, grammarOf } from '../../src/dcr/grammar.ts';

const docs = join(import.meta.dirname, '../../docs');
const schema = await readFile(join(docs, 'sailring-dcr.xsd'), 'utf8');
const manual = await readFile(join(docs, 'dcr.md'), 'utf8');

function namesOf(kind: string): string[] {
  const found = schema.matchAll(new RegExp(`<xs:${kind} name="([^"]+)"`, 'g'));
  return [...new Set([...found].map((match) => match[1]!))].sort();
}

describe('schema and manual of the rule language', () => {
  it('know the elements that the loader knows', () => {
    assert.deepEqual(namesOf('element'), [...elementNames].sort());
    for (const name of elementNames) assert.ok(manual.includes(`\`${name}\``), name);
  });

  it('know the attributes that the loader knows', () => {
    const attributes = elementNames.flatMap((name) => grammarOf(name)?.attributes ?? []);
    assert.deepEqual(namesOf('attribute'), [...new Set(attributes)].sort());
  });
});
