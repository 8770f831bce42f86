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

function told(name: string, port: number, more: object): object {
  return {
    name,
    state: 'alive',
    address: `127.0.0.1:${port}`,
    status: 'ready',
    weight: 1,
    ...more,
  };
}

const status = {
  name: 'p1',
  state: 'ready',
  members: [
    told('p10', 2, { stateDigest: 'BBBBBBBB', link: 'up' }),
    told('p2', 3, { stateDigest: 'AAAAAAAA', link: 'down', state: 'suspect' }),
    { name: 'observer', state: 'alive', address: '127.0.0.1:22', weight: 0 },
    told('p3', 4, { stateDigest: 'CCCCCCCC', state: 'dead' }),
    told('p1', 1, { stateDigest: 'AAAAAAAA', link: 'self' }),
  ],
  clusterState: { clock: 3, digest: 'AAAAAAAA' },
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
  it('shows members with links and states as a table, with the token of a file', async (t) => {
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
        'p1 is ready; ring v1 of 1; cluster state AAAAAAAA',
        '',
        'member    gossip   instance  weight  link       cluster state     address',
        'observer  alive    -         0       -          -                 127.0.0.1:22',
        'p1        alive    ready     1       this peer  AAAAAAAA          127.0.0.1:1',
        'p2        suspect  ready     1       DOWN       AAAAAAAA          127.0.0.1:3',
        'p3        dead     ready     1       -          -                 127.0.0.1:4',
        'p10       alive    ready     1       up         BBBBBBBB DIFFERS  127.0.0.1:2',
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
