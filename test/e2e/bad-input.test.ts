import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it, type TestContext } from 'node:test';
import { Child } from '../cli/child.ts';

const folder = mkdtempSync(join(tmpdir(), 'sailring-bad-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Everything of a peer but its application; nine lines of YAML. */
const rest = `name: peer-1
gossip: { listen: { port: 0 } }
link: { listen: { port: 0 } }
admin: { listen: { port: 0 } }
log: { level: warn }
drainTimeoutMs: 0
sip:
  listeners: [{ transport: udp, port: 0 }, { transport: tcp, port: 0 }]
  internal: { port: 0 }
`;
const demo = 'application: { kind: embedded, module: demo }\n';

const brokenRules = file(
  'broken.xml',
  `<user-centric-rules>
  <sip-rules>
    <header name="Room" return="request.Room"><exists/></header>
  </sip-rules>
</user-centric-rules>
`,
);

/** The program ends with 1 and this on standard error alone; nothing of it runs on. */
async function fails(t: TestContext, args: readonly string[], complaint: string): Promise<void> {
  const temporary = mkdtempSync(join(folder, 'tmp-'));
  const child = new Child(t, args, { TMPDIR: temporary });
  // Peers have the same standard error, so this ends when they have.
  assert.deepEqual(await child.closed, { code: 1, signal: null });
  assert.equal(child.err, `${complaint}\n`);
  assert.equal(child.out, '');
  assert.deepEqual(readdirSync(temporary), []);
}

/** A TCP port that somebody holds while the test runs. */
async function occupiedPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

describe('Bad input gets one clear message', { timeout: 60_000 }, () => {
  const files: readonly [name: string, yaml: string, complaint: (file: string) => string][] = [
    [
      'YAML that is none',
      `${rest}${demo}log: { level: warn }\n`,
      (path) => `${path}:11:1: error: Map keys must be unique; correct the YAML`,
    ],
    [
      'a key that nobody knows',
      `${rest}${demo}weigth: 2\n`,
      (path) => `${path}:11:1: error: unknown key "weigth"; did you mean "weight"?`,
    ],
    [
      'a rule file with a fault',
      `${rest}${demo}rules: { file: broken.xml }\n`,
      () =>
        `${brokenRules}:3:47: error: unknown element <exists>; expected exist, notexist; did you mean "exist"?`,
    ],
    [
      'an application module that is not there',
      `${rest}application: { kind: embedded, module: nowhere.mjs }\n`,
      (path) =>
        `${path}:10:40: error: cannot read ${join(folder, 'nowhere.mjs')}; correct the path, which counts from the folder of this file, or its permissions`,
    ],
  ];
  for (const [at, [name, yaml, complaint]] of files.entries()) {
    for (const command of ['check', 'start']) {
      it(`${command}: ${name}`, async (t) => {
        const path = file(`peer-${at}.yaml`, yaml);
        await fails(t, [command, '-c', path], complaint(path));
      });
    }
  }

  const modules: readonly [name: string, code: string, complaint: string][] = [
    ['no-export.mjs', 'export const other = 1;', 'exports no function createApplication'],
    ['throws.mjs', 'throw new Error("a fault of its own");', 'a fault of its own'],
    ['syntax.mjs', 'export const = 1;', "Unexpected token '='"],
  ];
  for (const [name, code, fault] of modules) {
    it(`start: an application module that cannot be used, ${name}`, async (t) => {
      const module = file(name, code);
      const path = file('module.yaml', `${rest}application: { kind: embedded, module: ${name} }\n`);
      const word = name === 'no-export.mjs' ? fault : `cannot be loaded: ${fault}`;
      const complaint = `sailring: error: The application module ${module} ${word}`;
      await fails(t, ['start', '-c', path], complaint);
    });
  }

  it('start: an occupied port', async (t) => {
    const port = await occupiedPort(t);
    const yaml = `${rest}${demo}http: { listeners: [{ port: ${port} }] }\n`;
    const path = file('occupied.yaml', yaml);
    const where = `127.0.0.1:${port} (http.listeners[0] in ${path})`;
    const complaint = `sailring: error: cannot listen: ${where} is in use; stop what listens there or configure another port`;
    await fails(t, ['start', '-c', path], complaint);
  });

  it('cluster: a rule file with a fault, and one that is not there', async (t) => {
    const [, , [, , complaint]] = files as readonly [unknown, unknown, (typeof files)[number]];
    await fails(t, ['cluster', '--dcr', brokenRules], complaint(''));
    const missing = join(folder, 'nowhere.xml');
    const fault = `ENOENT: no such file or directory, stat '${missing}'`;
    const word = `${missing}: error: the file cannot be read: ${fault}`;
    await fails(t, ['cluster', '--dcr', missing], word);
  });

  it('cluster: an occupied port', async (t) => {
    const port = await occupiedPort(t);
    const complaint = `sailring: error: port ${port} (SIP of the sprayer) is in use or not allowed; stop what holds it or choose other ports with --base-port N`;
    await fails(t, ['cluster', '--base-port', String(port)], complaint);
  });

  it('an upstream server that is not there: the client gets 502, the log one line', async (t) => {
    const port = await occupiedPort(t);
    const servers = `sip: { host: 127.0.0.1, port: ${port} }, http: { host: 127.0.0.1, port: 9 }`;
    const yaml = `${rest}http: { listeners: [{ port: 0 }] }\napplication: { kind: upstream, ${servers} }\n`;
    const child = new Child(t, ['start', '--json', '-c', file('upstream.yaml', yaml)]);
    const line = await child.firstLine;
    assert.ok(line !== undefined, child.err);
    const { http } = JSON.parse(line) as { http: string };
    for (let request = 0; request < 3; request++) {
      const response = await fetch(`http://${http}/`);
      assert.equal(response.status, 502);
      assert.equal(await response.text(), '502 Bad Gateway\n');
    }
    child.process.kill('SIGTERM');
    assert.deepEqual(await child.closed, { code: 0, signal: null });
    const lines = child.err.trim().split('\n');
    const entries = lines.map((entry) => JSON.parse(entry) as { msg: string; error?: string });
    const reasons = entries.filter(({ msg }) => msg === 'Upstream HTTP server is out of reach');
    assert.deepEqual(
      reasons.map(({ error }) => error),
      ['connect ECONNREFUSED 127.0.0.1:9'],
    );
    assert.doesNotMatch(child.err, /\n\s+at |node:internal|\.ts:\d/);
  });
});
