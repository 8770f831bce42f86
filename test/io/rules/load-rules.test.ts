import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { dcrLimits } from '../../../src/config/defaults.ts';
import type { PluginFault, RuleTools, TraceStep } from '../../../src/dcr/index.ts';
import { loadRules } from '../../../src/io/rules/index.ts';
import type { LoadedRules } from '../../../src/io/rules/index.ts';
import { uriReader } from '../../../src/pipeline/subjects.ts';
import { http, section, sip, toolsOf } from '../../dcr/request.ts';

const folder = await mkdtemp(join(tmpdir(), 'sailring-rules-'));
after(() => rm(folder, { recursive: true }));

const faults: PluginFault[] = [];

async function load(
  name: string,
  text: string,
  tools: RuleTools = toolsOf(),
): Promise<LoadedRules> {
  const file = join(folder, name);
  await writeFile(file, text);
  return loadRules(file, tools, (fault) => faults.push(fault));
}

const message = sip('INVITE sip:a@b SIP/2.0\nFrom: <tel:+46-8>;tag=1\nCall-ID: 1');
const head = http('GET /x HTTP/1.1\nHost: h');

describe('loading of rules', () => {
  it('compiles an XML file and counts its rules', async () => {
    const rule = '<header name="Call-ID" return="request.Call-ID"><exist/></header>';
    const loaded = await load('a.xml', section('sip', rule + rule));
    assert.ok(loaded.ok);
    assert.deepEqual([loaded.sipRules, loaded.httpRules, loaded.rules.kind], [2, 0, 'rule']);
    assert.match(loaded.digest, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(loaded.rules.sipKey(message), '1');
  });

  it('reports the errors of an XML file under its name', async () => {
    const loaded = await load('b.xml', '<x/>');
    assert.ok(!loaded.ok);
    assert.equal(loaded.errors[0]!.file, join(folder, 'b.xml'));
    assert.equal(loaded.errors[0]!.line, 1);
  });

  it('reports a file that cannot be read or is too large', async () => {
    const missing = await loadRules(join(folder, 'missing.xml'), toolsOf(), () => undefined);
    assert.ok(!missing.ok);
    assert.match(missing.errors[0]!.text, /cannot be read: ENOENT/);
    const large = await load('large.xml', ' '.repeat(dcrLimits.fileBytesMax + 1));
    assert.ok(!large.ok);
    assert.match(large.errors[0]!.text, /at most/);
  });
});

describe('a plug-in module', () => {
  it('gives keys, null and a trace', async () => {
    const loaded = await load(
      'p1.mjs',
      'export const sipKey = (request) => request.method; export const httpKey = () => null;',
    );
    assert.ok(loaded.ok);
    assert.equal(loaded.rules.kind, 'plugin');
    const steps: TraceStep[] = [];
    assert.equal(
      loaded.rules.sipKey(message, (step) => steps.push(step)),
      'INVITE',
    );
    assert.deepEqual(steps, [{ line: 0, depth: 0, element: 'plug-in sipKey', value: 'INVITE' }]);
    assert.equal(loaded.rules.httpKey(head), null);
  });

  it('may be written in TypeScript, serve one protocol and return nothing', async () => {
    const loaded = await load(
      'p2.ts',
      'export function httpKey(request: { target: string }): string | undefined { return request.target === "/x" ? undefined : ""; }',
    );
    assert.ok(loaded.ok);
    assert.equal(loaded.rules.sipKey(message), null);
    assert.equal(loaded.rules.httpKey(head), null);
    assert.equal(loaded.rules.httpKey(http('GET /y HTTP/1.1\nHost: h')), null);
    assert.deepEqual(faults, []);
  });

  it('that throws or returns what is no key has a fault told, and gives null', async () => {
    const loaded = await load(
      'p3.mjs',
      'export function sipKey() { throw new Error("broken"); } export const httpKey = async () => "x";',
    );
    assert.ok(loaded.ok);
    faults.length = 0;
    assert.equal(loaded.rules.sipKey(message), null);
    assert.equal(loaded.rules.httpKey(head), null);
    assert.deepEqual(faults, [
      { protocol: 'sip', text: 'broken' },
      { protocol: 'http', text: 'returned object; expected a string or null' },
    ]);
  });

  it('is asked again when a number that it resolves is known, whatever it did meanwhile', async () => {
    const answers = new Map<string, string>();
    const tools: RuleTools = {
      uris: uriReader,
      numbers: { resolve: (number) => answers.get(number) },
    };
    const loaded = await load(
      'p4.mjs',
      'export const sipKey = (request, tools) => tools.numbers.resolve("+468").toUpperCase();',
      tools,
    );
    assert.ok(loaded.ok);
    faults.length = 0;
    assert.deepEqual(loaded.rules.sipKey(message), { number: '+468' });
    answers.set('+468', 'sip:a@b');
    assert.equal(loaded.rules.sipKey(message), 'SIP:A@B');
    assert.deepEqual(faults, []);
  });

  it('is loaded anew when its file has changed', async () => {
    const first = await load('p5.mjs', 'export const sipKey = () => "one";');
    const second = await load('p5.mjs', 'export const sipKey = () => "two";');
    assert.ok(first.ok && second.ok);
    assert.deepEqual([first.rules.sipKey(message), second.rules.sipKey(message)], ['one', 'two']);
  });

  it('that exports nothing useful or does not load is an error', async () => {
    for (const [name, text, part] of [
      ['q1.mjs', 'export const key = () => null;', /expected it to export sipKey or httpKey/],
      ['q2.mjs', 'export const sipKey = "x";', /is no plug-in/],
      ['q3.mjs', 'export const sipKey = ', /cannot be loaded/],
      ['q4.mjs', 'throw new Error("at load");', /cannot be loaded: at load/],
    ] as const) {
      const loaded = await load(name, text);
      assert.ok(!loaded.ok);
      assert.match(loaded.errors[0]!.text, part);
    }
  });
});
