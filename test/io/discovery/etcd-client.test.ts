import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { z } from 'zod';
import { discoveryLimits } from '../../../src/config/defaults.ts';
import {
  EtcdClient,
  type EtcdAccess,
  type EtcdOutcome,
} from '../../../src/io/discovery/etcd-client.ts';
import { makeCertificate, replaceCertificate } from '../../support/certificate.ts';
import { Etcd } from '../../support/etcd.ts';
import { requireTool } from '../../support/tools.ts';

const never = new AbortController().signal;
const wanted = z.object({ count: z.string() });
const path = '/v3/kv/range';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A server on loopback that answers all requests alike. */
async function serve(t: TestContext, answer: Answer): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const says =
  (status: number, body: string): Answer =>
  (_request, response) => {
    response.writeHead(status).end(body);
  };

/** Asks these endpoints in turn; the last one gives a good answer. */
async function asked(t: TestContext, ...answers: readonly Answer[]): Promise<EtcdOutcome<unknown>> {
  const endpoints: string[] = [];
  for (const answer of answers) endpoints.push(await serve(t, answer));
  return new EtcdClient({ endpoints }, 300).call(path, {}, wanted, never);
}

const good = says(200, '{"count":"7"}');

/** What leaves the word to the next endpoint, and how it is told. */
const faults: readonly (readonly [name: string, answer: Answer, fault: RegExp])[] = [
  ['no leader', says(503, '{"error":"no leader","code":14}'), /: 503 no leader$/u],
  ['an answer of another shape', says(200, '{"other":1}'), /: unexpected answer$/u],
  ['an answer that is no JSON', says(200, '<html>'), /: unexpected answer$/u],
  ['a redirection', says(307, ''), /: 307$/u],
  ['silence', () => undefined, /: no answer within 300 ms$/u],
  [
    'a head without an end',
    (_request, response) => {
      response.writeHead(200).write('{');
    },
    /: no answer within 300 ms$/u,
  ],
  [
    'a connection that breaks',
    (_request, response) => {
      response.writeHead(200, { 'content-length': 5 }).write('{', () => response.destroy());
    },
    /: (?:aborted|the connection ended before the answer)$/u,
  ],
  [
    'an answer above the limit',
    (_request, response) => {
      response.writeHead(200).end(Buffer.alloc(discoveryLimits.etcdAnswerBytesMax + 1, 0x20));
    },
    /: the answer is larger than 1048576 bytes$/u,
  ],
];

describe('a client of etcd', { timeout: 30_000 }, () => {
  for (const [name, answer, fault] of faults) {
    it(`goes on to the next endpoint after ${name}`, async (t) => {
      assert.deepEqual(await asked(t, answer, good), { ok: true, value: { count: '7' } });
    });

    it(`tells of ${name} where there is no other`, async (t) => {
      const outcome = await asked(t, answer);
      assert.ok(!outcome.ok);
      assert.match(outcome.fault, fault);
      assert.equal(outcome.status, undefined);
    });
  }

  it('takes a refusal for the word of the whole cluster', async (t) => {
    const refusal = says(403, '{"error":"etcdserver: permission denied","code":7}');
    const outcome = await asked(t, refusal, good);
    assert.ok(!outcome.ok);
    assert.equal(outcome.status, 403);
    assert.match(outcome.fault, /: 403 etcdserver: permission denied$/u);
  });

  it('begins with the endpoint that answered last', async (t) => {
    let bad = 0;
    const endpoints = [
      await serve(t, (_request, response) => {
        bad++;
        response.writeHead(503).end();
      }),
      await serve(t, good),
    ];
    const client = new EtcdClient({ endpoints });
    for (let at = 0; at < 3; at++) await client.call(path, {}, wanted, never);
    assert.equal(bad, 1);
  });

  it('ends at once when it is told to', async (t) => {
    const stop = new AbortController();
    const endpoint = await serve(t, () => {
      stop.abort();
    });
    const client = new EtcdClient({ endpoints: [endpoint, endpoint] }, 60_000);
    const outcome = await client.call(path, {}, wanted, stop.signal);
    assert.equal(outcome.ok, false);
  });
});

const range = { key: Buffer.from('/sailring/a').toString('base64') };
const login = { username: 'peer', password: 'a secret of the tests alone' };

async function permitted(t: TestContext): Promise<Etcd> {
  const etcd = await Etcd.start(t);
  await etcd.enableLogin(login.username, login.password, '/sailring/');
  return etcd;
}

function client(etcd: Etcd, access: Omit<EtcdAccess, 'endpoints'> = {}): EtcdClient {
  return new EtcdClient({ endpoints: [etcd.endpoint], ...access });
}

const anything = z.object({});

describe('a login to etcd', { timeout: 30_000 }, () => {
  it('opens what the user may use, and nothing else', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await permitted(t);
    assert.ok((await client(etcd, login).call(path, range, anything, never)).ok);
    const other = await client(etcd, login).call(path, { key: 'AA==' }, anything, never);
    assert.ok(!other.ok);
    assert.equal(other.status, 403);
    const stranger = await client(etcd).call(path, range, anything, never);
    assert.ok(!stranger.ok);
    assert.match(stranger.fault, /user name is empty/u);
  });

  it('fails with a wrong password, which is not told', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await permitted(t);
    const wrong = { ...login, password: 'a wrong one' };
    const outcome = await client(etcd, wrong).call(path, range, anything, never);
    assert.ok(!outcome.ok);
    assert.match(outcome.fault, /authentication failed/u);
    assert.ok(!outcome.fault.includes(wrong.password));
  });

  it('is done again when etcd forgot it', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await permitted(t);
    const peer = client(etcd, login);
    assert.ok((await peer.call(path, range, anything, never)).ok);
    await etcd.kill();
    await etcd.start();
    assert.ok((await peer.call(path, range, anything, never)).ok);
  });

  it('is left out where etcd wants none, and done when it wants one later', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const peer = client(etcd, login);
    assert.ok((await peer.call(path, range, anything, never)).ok);
    await etcd.enableLogin(login.username, login.password, '/sailring/');
    assert.ok((await peer.call(path, range, anything, never)).ok);
  });
});

describe('etcd over TLS', { timeout: 30_000 }, () => {
  it('is used with its authority and a certificate of ours, not without', async (t) => {
    if (!requireTool('etcd', t) || !requireTool('openssl', t)) return;
    const folder = await mkdtemp(join(tmpdir(), 'sailring-etcd-tls-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const server = await makeCertificate(folder, 'server');
    const ours = await makeCertificate(folder, 'ours');
    const stranger = await makeCertificate(folder, 'stranger');
    const clientCa = join(folder, 'clients.pem');
    const trusted = [server, ours].map(({ certificate }) => readFile(certificate, 'utf8'));
    await writeFile(clientCa, (await Promise.all(trusted)).join(''));
    const etcd = await Etcd.start(t, { server, clientCa, client: ours });

    const ca = server.certificate;
    const ask = (tls: EtcdAccess['tls']): Promise<EtcdOutcome<unknown>> =>
      client(etcd, tls === undefined ? {} : { tls }).call(path, range, anything, never);
    assert.ok((await ask({ ca, ...ours })).ok);
    const refusals: readonly (readonly [EtcdAccess['tls'], RegExp])[] = [
      [undefined, /self-signed certificate/u],
      [{ ca }, /certificate required|bad certificate|socket|ECONNRESET/u],
      [{ ca, ...stranger }, /bad certificate|unknown ca|socket|ECONNRESET/u],
      [{ ca: stranger.certificate, ...ours }, /self-signed certificate/u],
      [{ ca: join(folder, 'none.pem') }, /^TLS files for .*ENOENT/u],
      [{ ca, certificate: ours.certificate, key: stranger.key }, /^TLS files for .*mismatch/u],
    ];
    for (const [tls, fault] of refusals) {
      const outcome = await ask(tls);
      assert.ok(!outcome.ok);
      assert.match(outcome.fault, fault);
    }
  });

  it('is used with renewed files without a restart', async (t) => {
    if (!requireTool('etcd', t) || !requireTool('openssl', t)) return;
    const folder = await mkdtemp(join(tmpdir(), 'sailring-etcd-tls-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const server = await makeCertificate(folder, 'server');
    const stale = await makeCertificate(folder, 'stale');
    const fresh = await makeCertificate(folder, 'fresh');
    const clientCa = join(folder, 'clients.pem');
    const trusted = [server, fresh].map(({ certificate }) => readFile(certificate, 'utf8'));
    await writeFile(clientCa, (await Promise.all(trusted)).join(''));
    const etcd = await Etcd.start(t, { server, clientCa, client: fresh });
    const peer = client(etcd, { tls: { ca: server.certificate, ...stale } });
    assert.equal((await peer.call(path, range, anything, never)).ok, false);
    await replaceCertificate(stale, fresh);
    assert.ok((await peer.call(path, range, anything, never)).ok);
  });
});
