import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import dnsPacket from 'dns-packet';
import type { Packet } from 'dns-packet';
import { dcrCheck } from '../../src/cli/dcr-check.ts';
import { dcrExplain } from '../../src/cli/dcr-explain.ts';
import type { ExplainOptions } from '../../src/cli/dcr-explain.ts';
import type { CliOutput } from '../../src/cli/output.ts';
import { digestOf } from '../../src/pipeline/key.ts';

const folder = await mkdtemp(join(tmpdir(), 'sailring-cli-'));
after(() => rm(folder, { recursive: true }));

const example = (name: string): string => join(import.meta.dirname, '../../dcr-examples', name);

class Terminal implements CliOutput {
  written = '';
  errors = '';
  readonly #stdin: string;

  constructor(stdin = '') {
    this.#stdin = stdin;
  }

  out(text: string): void {
    this.written += text;
  }

  err(text: string): void {
    this.errors += text;
  }

  readStdin(): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.#stdin));
  }
}

const explain = async (
  rules: string,
  message: string,
  options: ExplainOptions = {},
): Promise<{ code: number; written: string; errors: string }> => {
  const terminal = new Terminal(message);
  const code = await dcrExplain(rules, '-', options, terminal);
  return { code, written: terminal.written, errors: terminal.errors };
};

const call = 'INVITE sip:r@h SIP/2.0\nFrom: <sip:a@b>;tag=t1\nTo: <sip:r@h>\nCall-ID: c1\n';

describe('dcr check', () => {
  it('says what a valid file holds', async () => {
    const terminal = new Terminal();
    const file = example('conference.xml');
    assert.equal(await dcrCheck(file, terminal), 0);
    assert.equal(terminal.written, `${file}: ok (1 sip rules, 1 http rules)\n`);
    assert.equal(terminal.errors, '');
  });

  it('knows a plug-in', async () => {
    const terminal = new Terminal();
    assert.equal(await dcrCheck(example('referee.mjs'), terminal), 0);
    assert.match(terminal.written, /ok \(plug-in module\)\n$/);
  });

  it('lists every error with its place', async () => {
    const file = join(folder, 'bad.xml');
    await writeFile(
      file,
      '<user-centric-rules>\n<sip-rule/>\n<http-rules><or/></http-rules>\n</user-centric-rules>',
    );
    const terminal = new Terminal();
    assert.equal(await dcrCheck(file, terminal), 1);
    const lines = terminal.errors.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.ok(lines[0]!.startsWith(`${file}:2:1: error: unknown element <sip-rule>`));
    assert.ok(lines[1]!.startsWith(`${file}:3:13: error: <or> holds no condition`));
  });
});

describe('dcr explain', () => {
  it('shows path, key, source and digest of a SIP request', async () => {
    const { code, written } = await explain(
      example('conference.xml'),
      `${call}ConferenceName: 42\n`,
    );
    assert.equal(code, 0);
    assert.match(
      written,
      /line 6 .*header name="ConferenceName".*\[request\.ConferenceName\] -> 42/,
    );
    assert.match(written, /^key {6}42$/m);
    assert.match(written, /^source {3}rule, line 6$/m);
    assert.ok(written.includes(`digest   ${digestOf('42')}\n`));
  });

  it('gives the fallback key of SIP', async () => {
    const { written } = await explain(example('conference.xml'), call);
    assert.match(written, /^source {3}fallback: From tag and Call-ID$/m);
    assert.ok(written.includes(digestOf('t1\nc1')));
  });

  it('gives the fallback key of HTTP when it is told the client', async () => {
    const request = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
    const without = await explain(example('conference.xml'), request);
    assert.match(without.written, /^digest {3}unknown without --remote/m);
    const remote = await explain(example('conference.xml'), request, { remote: '[::1]:4711' });
    assert.ok(remote.written.includes(digestOf('::1\n4711')));
  });

  it('prints JSON', async () => {
    const request = 'GET /?ConferenceName=7 HTTP/1.1\nHost: h\n';
    const { written } = await explain(example('conference.xml'), request, { json: true });
    const explanation = JSON.parse(written) as Record<string, unknown>;
    assert.equal(explanation['key'], '7');
    assert.equal(explanation['source'], 'rule');
    assert.equal(explanation['digest'], digestOf('7'));
    assert.equal((explanation['steps'] as unknown[]).length, 1);
  });

  it('asks a plug-in, and tells its faults', async () => {
    const good = await explain(example('referee.mjs'), call);
    assert.match(good.written, /^source {3}plug-in$/m);
    const file = join(folder, 'broken.mjs');
    await writeFile(file, 'export const sipKey = () => { throw new Error("oops"); };');
    const bad = await explain(file, call);
    assert.match(bad.errors, /plug-in fault: oops/);
    assert.match(bad.written, /^source {3}fallback/m);
  });

  it('says when rules would not be asked for a request', async () => {
    const { written } = await explain(
      example('conference.xml'),
      call.replace('To: <sip:r@h>', 'To: <sip:r@h>;tag=t2'),
    );
    assert.match(written, /^note .*in a dialog/m);
  });

  it('shows control characters of a message escaped', async () => {
    const { written } = await explain(
      example('conference.xml'),
      'GET /?ConferenceName=%1b%5B2J%0d HTTP/1.1\nHost: h\n',
    );
    assert.ok(written.includes('\\x1b[2J\\x0d'));
  });

  it('looks numbers up where it is asked to', async (test) => {
    const server = createSocket('udp4');
    server.on('message', (bytes, from) => {
      const { id, questions } = dnsPacket.decode(bytes);
      const data = {
        order: 1,
        preference: 1,
        flags: 'u',
        services: 'E2U+sip',
        regexp: '!^.*$!sip:found@x!',
        replacement: '.',
      };
      const answers: Packet['answers'] = [
        { type: 'NAPTR', name: questions![0]!.name, ttl: 60, data },
      ];
      server.send(
        dnsPacket.encode({ type: 'response', id: id!, questions: questions!, answers }),
        from.port,
        from.address,
      );
    });
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    test.after(() => server.close());
    const { written } = await explain(example('number.xml'), call.replace('sip:r@h', 'tel:+46-8'), {
      enumSuffix: 'e164.arpa',
      enumServers: `127.0.0.1:${server.address().port}`,
    });
    assert.match(written, /^key {6}found$/m);
  });

  it('refuses what it cannot read, and says why', async () => {
    const rules = example('conference.xml');
    for (const [message, part] of [
      ['SIP/2.0 200 OK\nCall-ID: 1\n', /a response has no key/],
      ['nonsense', /HTTP head is not understood/],
      ['', /HTTP head/],
    ] as const) {
      const { code, errors } = await explain(rules, message);
      assert.equal(code, 1);
      assert.match(errors, part);
    }
    const terminal = new Terminal();
    assert.equal(await dcrExplain(rules, join(folder, 'none'), {}, terminal), 1);
    assert.match(terminal.errors, /cannot be read: ENOENT/);
    const broken = await explain(join(folder, 'none.xml'), call);
    assert.equal(broken.code, 1);
    assert.match(broken.errors, /none\.xml: error: the file cannot be read/);
  });
});
