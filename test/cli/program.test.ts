import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { packageVersion } from '../../src/cli/package.ts';
import { run } from './recorded-output.ts';

const folder = mkdtempSync(join(tmpdir(), 'sailring-test-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('the command line', () => {
  it('tells its version', async () => {
    assert.deepEqual(await run(['--version']), {
      exitCode: 0,
      out: `${packageVersion()}\n`,
      err: '',
    });
  });

  it('explains itself and every command', async () => {
    const { exitCode, out } = await run(['--help']);
    assert.equal(exitCode, 0);
    for (const command of ['start', 'check', 'schema', 'cluster', 'dcr']) {
      assert.match(out, new RegExp(`^  ${command} `, 'mu'));
      const help = await run([command, '--help']);
      assert.equal(help.exitCode, 0);
      assert.match(help.out, new RegExp(`^Usage: sailring ${command} `, 'u'));
    }
    for (const command of ['start', 'check', 'schema', 'cluster'])
      assert.match((await run([command, '--help'])).out, /^Examples?:\n {2}sailring /mu);
  });

  for (const [args, complaint] of [
    [['clster'], /unknown command 'clster'\n\(Did you mean cluster\?\)/u],
    [['start'], /required option '-c, --config <file>' not specified/u],
    [['start', '-c', 'x', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/u],
    [['cluster', '--peers', '0'], /Use a whole number from 1 to 32\./u],
    [['cluster', '--peers', '33'], /Use a whole number from 1 to 32\./u],
    [['cluster', '--peers', 'three'], /Use a whole number from 1 to 32\./u],
    [['cluster', '--base-port', '65530'], /Use a whole number from 1 to 65515\./u],
    [['cluster', '--base-port', '65515'], /leaves no room for 3 peers; use 65495 or less/u],
    [['cluster', '--sprayer', 'random'], /Allowed choices are per-packet, flow\./u],
  ] as const)
    it(`refuses ${args.join(' ')}`, async () => {
      const { exitCode, out, err } = await run(args);
      assert.equal(exitCode, 1);
      assert.equal(out, '');
      assert.match(err, complaint);
    });
});

describe('sailring check', () => {
  it('accepts a good file', async () => {
    const good = file(
      'good.yaml',
      'sip: { listeners: [{ transport: udp }] }\napplication: { kind: embedded, module: demo }\n',
    );
    assert.deepEqual(await run(['check', '-c', good]), {
      exitCode: 0,
      out: `${good}: ok\n`,
      err: '',
    });
  });

  it('writes each problem on a line of its own', async () => {
    const bad = file('bad.yaml', 'nam: x\napplication: { kind: embedded, modul: demo }\n');
    const { exitCode, out, err } = await run(['check', '-c', bad]);
    assert.equal(exitCode, 1);
    assert.equal(out, '');
    assert.deepEqual(err.split('\n'), [
      `${bad}:1:1: error: unknown key "nam"; did you mean "name"?`,
      `${bad}:2:14: error: application.module is missing; add it: path of the module, or \`demo\``,
      `${bad}:2:32: error: unknown key "modul" in application; did you mean "module"?`,
      '',
    ]);
  });
});

describe('sailring schema', () => {
  it('prints a JSON Schema', async () => {
    const { exitCode, out } = await run(['schema']);
    assert.equal(exitCode, 0);
    const schema = JSON.parse(out) as { additionalProperties: boolean; required: string[] };
    assert.equal(schema.additionalProperties, false);
    assert.deepEqual(schema.required, ['application']);
  });

  it('prints a table of all keys', async () => {
    const { out } = await run(['schema', '--table']);
    assert.match(
      out,
      /^\| `sip\.listeners\[\]\.transport` \| `udp`, `tcp`, `tls`, `ws`, `wss` \| \*\*required\*\*/mu,
    );
  });
});

describe('sailring dcr', () => {
  const rules = file(
    'rules.xml',
    `<user-centric-rules>
  <http-rules><if><header name="X-Room"><exist/></header><return>1</return></if></http-rules>
</user-centric-rules>
`,
  );

  it('passes rule files on to their check', async () => {
    const { exitCode, err } = await run(['dcr', 'check', join(folder, 'none.xml')]);
    assert.equal(exitCode, 1);
    assert.match(err, /none\.xml/u);
    assert.notEqual((await run(['dcr', 'check', rules])).out + err, '');
  });

  it('reads the message from standard input', async () => {
    const example = new URL('../../dcr-examples/conference.xml', import.meta.url).pathname;
    const request = 'GET /conference?ConferenceName=42 HTTP/1.1\r\nHost: a\r\n\r\n';
    const { exitCode, out } = await run(['dcr', 'explain', example, '--json'], request);
    assert.equal(exitCode, 0);
    assert.match(JSON.stringify(JSON.parse(out)), /"42"/u);
  });
});
