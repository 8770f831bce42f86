import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import * as z from 'zod';
import { loadRules } from '../../src/io/rules/index.ts';
import { http, sip, toolsOf } from './request.ts';

const folder = join(import.meta.dirname, '../../dcr-examples');

const casesFile = z.strictObject({
  /** Answers of ENUM; any other number has none. */
  numbers: z.record(z.string(), z.string()).default({}),
  cases: z
    .array(
      z.union([
        z.strictObject({ name: z.string(), sip: z.string(), key: z.string().nullable() }),
        z.strictObject({ name: z.string(), http: z.string(), key: z.string().nullable() }),
      ]),
    )
    .min(1),
});

const files = await readdir(folder);
const examples = files.filter((name) => !name.endsWith('.cases.yaml'));

describe('rule files of dcr-examples', () => {
  it('are at least twelve', () => {
    assert.ok(examples.length >= 12, `${examples.length} examples`);
  });

  it('belong each to a file of cases, and each file of cases to one of them', () => {
    const bases = examples.map((name) => name.replace(/\.[a-z]+$/, ''));
    const cases = files.filter((name) => name.endsWith('.cases.yaml'));
    assert.deepEqual(cases.map((name) => name.replace(/\.cases\.yaml$/, '')).sort(), bases.sort());
  });

  for (const example of examples) {
    describe(example, async () => {
      const base = example.replace(/\.[a-z]+$/, '');
      const text = await readFile(join(folder, `${base}.cases.yaml`), 'utf8');
      const { numbers, cases } = casesFile.parse(parse(text));
      const loaded = await loadRules(join(folder, example), toolsOf(numbers), (fault) => {
        assert.fail(fault.text);
      });
      assert.ok(loaded.ok, JSON.stringify(loaded));
      for (const given of cases) {
        it(given.name, () => {
          const key =
            'sip' in given
              ? loaded.rules.sipKey(sip(given.sip))
              : loaded.rules.httpKey(http(given.http));
          assert.equal(key, given.key);
        });
      }
    });
  }
});
