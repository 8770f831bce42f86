import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Child } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'sailring-test-'));
after(() => {
  rmSync(folder, { recursive: true });
});

let files = 0;
const secret = 'a-secret-that-nobody-may-see';

function configFile(changes = ''): string {
  const path = join(folder, `peer-${++files}.yaml`);
  writeFileSync(
    path,
    `
name: peer-1
gossip: { listen: { port: 0 } }
link: { listen: { port: 0 } }
stamps: { keys: [{ id: a, secret: ${secret} }] }
sip: { listeners: [{ transport: udp, port: 0 }, { transport: tcp, port: 0 }], internal: { port: 0 } }
application: { kind: embedded, module: demo }
${changes}
`,
  );
  return path;
}

const admin = 'admin: { listen: { port: 0 } }\n';

describe('sailring start', () => {
  it('says where it listens; a signal ends it in order', async (t) => {
    const file = configFile(`${admin}drainTimeoutMs: 0\nlog: { level: debug }`);
    const child = new Child(t, ['start', '-c', file]);
    const address = '127\\.0\\.0\\.1:[1-9]\\d*';
    assert.match(
      (await child.firstLine) ?? child.err,
      new RegExp(
        `^sailring peer-1 ready sip udp ${address} sip tcp ${address} admin ${address} gossip ${address} link ${address}$`,
        'u',
      ),
    );
    child.process.kill('SIGTERM');
    assert.deepEqual(await child.closed, { code: 0, signal: null });
    for (const line of child.err.trim().split('\n'))
      assert.equal(typeof JSON.parse(line), 'object');
    assert.doesNotMatch(child.out + child.err, new RegExp(secret, 'u'));
  });

  it('gives its addresses as JSON, and is ready then', async (t) => {
    const child = new Child(t, ['start', '-c', configFile(admin), '--json']);
    const line = await child.firstLine;
    assert.notEqual(line, undefined, child.err);
    const addresses = JSON.parse(line ?? '') as Record<string, unknown>;
    assert.deepEqual(Object.keys(addresses), ['pid', 'name', 'sip', 'admin', 'gossip', 'link']);
    assert.equal(addresses['pid'], child.process.pid);
    const response = await fetch(`http://${String(addresses['admin'])}/readyz`);
    assert.equal(response.status, 200);
  });

  it('ends at once at a second signal', async (t) => {
    const file = configFile(`${admin}drainTimeoutMs: 600000`);
    const child = new Child(t, ['start', '-c', file]);
    assert.notEqual(await child.firstLine, undefined, child.err);
    const press = setInterval(() => child.process.kill('SIGTERM'), 20);
    const end = await child.closed;
    clearInterval(press);
    assert.deepEqual(end, { code: 143, signal: null });
  });

  it('ends with its parent, without draining', async (t) => {
    const file = configFile(`${admin}drainTimeoutMs: 600000`);
    const child = new Child(t, ['start', '-c', file, '--exit-with-parent']);
    assert.notEqual(await child.firstLine, undefined, child.err);
    child.process.stdin.end();
    assert.deepEqual(await child.closed, { code: 0, signal: null });
  });

  it('ends in time when it is told to while its application hangs at the start', async (t) => {
    const file = configFile(admin);
    const hanging =
      "console.log('loading'); setInterval(() => {}, 1000); await new Promise(() => {});";
    writeFileSync(join(folder, 'hanging.mjs'), hanging);
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('module: demo', 'module: ./hanging.mjs'),
    );
    const child = new Child(t, ['start', '-c', file]);
    assert.equal(await child.firstLine, 'loading', child.err);
    child.process.kill('SIGTERM');
    assert.deepEqual(await child.closed, { code: 0, signal: null });
  });

  it('tells of an occupied port in one line', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const file = configFile(`admin: { listen: { port: ${port} } }\nlog: { level: warn }`);
    const child = new Child(t, ['start', '-c', file]);
    assert.deepEqual(await child.closed, { code: 1, signal: null });
    assert.equal(
      child.err,
      `sailring: error: cannot listen: 127.0.0.1:${port} (admin.listen in ${file}) is in use; stop what listens there or configure another port\n`,
    );
    assert.equal(child.out, '');
  });

  it('tells of a bad file at its place', async (t) => {
    const file = configFile('wieght: 2');
    const child = new Child(t, ['start', '-c', file]);
    assert.deepEqual(await child.closed, { code: 1, signal: null });
    assert.equal(child.err, `${file}:8:1: error: unknown key "wieght"; did you mean "weight"?\n`);
  });
});
