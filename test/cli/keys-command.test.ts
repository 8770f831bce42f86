import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { runProgram } from '../../src/cli/program.ts';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly body: string;
}

/** An admin server that gives one answer. */
async function peer(
  t: TestContext,
  status: number,
  answer: unknown,
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      seen.push({ method: request.method, url: request.url, body });
      response.statusCode = status;
      response.end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

async function run(
  args: readonly string[],
  stdin = '',
): Promise<{ exitCode: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const exitCode = await runProgram(['keys', ...args], {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    readStdin: () => Promise.resolve(Buffer.from(stdin)),
  });
  return { exitCode, out: out.join(''), err: err.join('') };
}

const done = {
  change: 'install',
  id: 'aaaaaaaa',
  isDone: true,
  members: [
    { member: 'a', isDone: true },
    { member: 'b', isDone: true },
  ],
  silent: 0,
};

describe('sailring keys', () => {
  it('list shows who has which keys', async (t) => {
    const { url } = await peer(t, 200, {
      keys: [
        { id: 'aaaaaaaa', bits: 256, isPrimary: true },
        { id: 'bbbbbbbb', bits: 128, isPrimary: false },
      ],
      members: [
        { member: 'a', keys: ['aaaaaaaa', 'bbbbbbbb'] },
        { member: 'b', keys: ['cccccccc'] },
        { member: 'c', keys: [], fault: 'gossip is not encrypted here' },
      ],
      silent: 1,
    });
    const { exitCode, out } = await run(['list', '--admin', url]);
    assert.equal(exitCode, 0);
    assert.equal(
      out,
      [
        'a: aaaaaaaa (256 bits), bbbbbbbb (128 bits)',
        'b: cccccccc',
        'c: gossip is not encrypted here',
        'no answer of 1 more',
        '',
      ].join('\n'),
    );
  });

  it('install takes the key from a file or from standard input, never from an argument', async (t) => {
    const { url, seen } = await peer(t, 200, done);
    const directory = mkdtempSync(join(tmpdir(), 'sailring-'));
    t.after(() => {
      rmSync(directory, { recursive: true });
    });
    const file = join(directory, 'new.key');
    writeFileSync(file, 'c2VjcmV0\n');
    const fromFile = await run(['install', file, '--admin', url]);
    assert.deepEqual([fromFile.exitCode, fromFile.out], [0, 'install aaaaaaaa: done by 2\n']);
    const fromInput = await run(['install', '-', '--admin', url], 'aW5wdXQ=\n');
    assert.equal(fromInput.exitCode, 0);
    assert.deepEqual(
      seen.map(({ method, url: path, body }) => [method, path, JSON.parse(body) as unknown]),
      [
        ['POST', '/gossip/keys', { change: 'install', key: 'c2VjcmV0' }],
        ['POST', '/gossip/keys', { change: 'install', key: 'aW5wdXQ=' }],
      ],
    );
    const missing = await run(['install', join(directory, 'none'), '--admin', url]);
    assert.equal(missing.exitCode, 1);
    assert.match(missing.err, /cannot read/u);
  });

  it('use and remove name a key by its id, and tell who did not follow', async (t) => {
    const { url, seen } = await peer(t, 200, {
      ...done,
      change: 'use',
      isDone: false,
      members: [
        { member: 'a', isDone: true },
        { member: 'b', isDone: false, fault: 'the key is not installed' },
      ],
      silent: 2,
    });
    const { exitCode, out } = await run(['use', 'aaaaaaaa', '--force', '--admin', url]);
    assert.equal(exitCode, 1);
    assert.equal(
      out,
      'use aaaaaaaa: done by 1\nb: the key is not installed\nno answer of 2 more\n',
    );
    await run(['remove', 'aaaaaaaa', '--admin', url]);
    assert.deepEqual(
      seen.map(({ body }) => JSON.parse(body) as unknown),
      [
        { change: 'use', id: 'aaaaaaaa', force: true },
        { change: 'remove', id: 'aaaaaaaa', force: false },
      ],
    );
  });

  it('says why a peer refused', async (t) => {
    const { url } = await peer(t, 409, {
      error: 'these have not installed it: b; nothing was done',
    });
    const { exitCode, err } = await run(['use', 'aaaaaaaa', '--admin', url]);
    assert.equal(exitCode, 1);
    assert.match(err, /refused \(409\): these have not installed it: b/u);
  });
});
