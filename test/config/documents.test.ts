import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { ConfigWorld } from '../../src/config/index.ts';
import {
  configJsonSchema,
  configReference,
  formatProblem,
  parseConfig,
} from '../../src/config/index.ts';
import { limitsTables } from './limits-table.ts';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const refresh = 'run: node test/config/refresh-documents.ts';

describe('the documents of the configuration', () => {
  it('docs/config.schema.json is what `npm run --silent schema` prints', () => {
    assert.equal(
      read('docs/config.schema.json'),
      `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`,
      refresh,
    );
  });

  it('docs/configuration.md holds the table of `sailring schema --table`', () => {
    const table = /<!-- keys -->\n([\s\S]*)\n<!-- end of keys -->/u.exec(
      read('docs/configuration.md'),
    )?.[1];
    assert.equal(table?.trim(), configReference(), refresh);
  });

  it('docs/limits.md holds all of config/defaults.ts', () => {
    const tables = /<!-- limits -->\n([\s\S]*)\n<!-- end of limits -->/u.exec(
      read('docs/limits.md'),
    )?.[1];
    assert.equal(tables?.trim(), limitsTables(), refresh);
  });

  it('every example in docs/configuration.md is accepted', () => {
    const world: ConfigWorld = {
      hostname: 'peer-1',
      env: { ADMIN_TOKEN: '0123456789abcdef0123456789abcdef' },
      readFile: () => Buffer.from('0123456789abcdef0123456789abcdef\n'),
    };
    const examples = [...read('docs/configuration.md').matchAll(/```yaml\n([\s\S]*?)```/gu)];
    assert.ok(examples.length >= 2);
    for (const [, text = ''] of examples) {
      const result = parseConfig(text, 'example.yaml', world);
      assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
    }
  });
});
