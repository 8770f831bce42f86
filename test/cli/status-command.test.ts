import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { runProgram } from '../../src/cli/program.ts';

const status = {
  name: 'p1',
  state: 'ready',
  members: [
    { name: 'p1', state: 'alive', address: '127.0.0.1:1', status: 'ready', weight: 1 },
    { name: 'observer', state: 'suspect', address: '127.0.0.1:22', weight: 0 },
  ],
  ring: { version: 'v1', members: [{ name: 'p1', weight: 1 }] },
  addresses: {},
};

async function peer(t: TestContext): Promise<{ url: string; tokens: (string | undefined)[] }> {
  const tokens: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    tokens.push(request.headers.authorization);
    const isKnown = request.headers.authorization === 'Bearer secret';
    response.statusCode = isKnown ? 200 : 401;
    response.end(JSON.stringify(isKnown ? status : { error: 'a bearer token is needed' }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tokens };
}

async function run(...args: string[]): Promise<{ exitCode: number; out: string; err: string }> {
  const [written, complained]: string[][] = [[], []];
  const exitCode = await runProgram(args, {
    out: (text) => void written!.push(text),
    err: (text) => void complained!.push(text),
    readStdin: () => Promise.resolve(Buffer.alloc(0)),
  });
  return { exitCode, out: written!.join(''), err: complained!.join('') };
}

describe('sailring status', () => {
  it('shows the members as a table, with the token of a file', async (t) => {
    const { url } = await peer(t);
    const directory = mkdtempSync(join(tmpdir(), 'sailring-'));
    t.after(() => {
      rmSync(directory, { recursive: true });
    });
    const tokenFile = join(directory, 'token');
    writeFileSync(tokenFile, 'secret\n');
    const { exitCode, out } = await run('status', '--admin', url, '--token-file', tokenFile);
    assert.equal(exitCode, 0);
    assert.equal(
      out,
      [
        'p1 is ready; ring v1 of 1',
        '',
        'member    gossip   instance  weight  address',
        'p1        alive    ready     1       127.0.0.1:1',
        'observer  suspect  -         0       127.0.0.1:22',
        '',
      ].join('\n'),
    );
    const json = await run('status', '--admin', url, '--token-file', tokenFile, '--json');
    assert.deepEqual(JSON.parse(json.out), status);
  });

  it('says why there is no answer, and what to do', async (t) => {
    const { url } = await peer(t);
    const refused = await run('status', '--admin', url);
    assert.equal(refused.exitCode, 1);
    assert.match(
      refused.err,
      /refused \(401\): a bearer token is needed; give it with --token-file/u,
    );
    const silent = await run('status', '--admin', 'http://127.0.0.1:1');
    assert.equal(silent.exitCode, 1);
    assert.match(
      silent.err,
      /^sailring: error: no answer of http:\/\/127\.0\.0\.1:1: .*--admin right/u,
    );
  });
});
