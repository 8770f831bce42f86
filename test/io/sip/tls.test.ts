import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { spawn } from 'node:child_process';
import { after, before, describe, it, type TestContext } from 'node:test';
import {
  connect,
  createServer,
  type ConnectionOptions,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import type { ServerTlsConfig } from '../../../src/config/config.ts';
import type { SipTarget } from '../../../src/pipeline/sip-target.ts';
import { request } from '../../support/sip-text.ts';
import { Certificates, tlsOf, withoutOpenssl, type Pair } from '../accept/certificates.ts';
import {
  Inbox,
  closing,
  listener,
  listening,
  readText,
  unexpected,
  type ListenerRig,
  type RigOptions,
} from './sip-rig.ts';

const text = request({ body: 'v=0' }).toString('latin1');
const host = '127.0.0.1';

describe('SIP over TLS', { skip: withoutOpenssl }, () => {
  let made: Certificates;
  let server: Pair;
  let client: Pair;
  let stranger: Pair;

  before(() => {
    made = new Certificates();
    made.authority('ours');
    made.authority('theirs');
    server = made.issue('server', 'ours', 'DNS:sip.example.org,IP:127.0.0.1');
    client = made.issue('client', 'ours', 'DNS:client.example.org');
    stranger = made.issue('stranger', 'theirs', 'DNS:sip.example.org,IP:127.0.0.1');
  });
  after(() => {
    made.remove();
  });

  function bind(
    t: TestContext,
    tls: Partial<ServerTlsConfig> = {},
    options: RigOptions = {},
  ): Promise<ListenerRig> {
    const given = listener({ transport: 'tls', tls: tlsOf(server, tls) });
    return listening(t, [given], options);
  }

  function dial(t: TestContext, rig: ListenerRig, options: ConnectionOptions = {}): TLSSocket {
    const socket = connect({ host, port: rig.port(), ca: made.ca('ours'), ...options });
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    return socket;
  }

  /** Connects and exchanges a message. */
  async function joined(
    t: TestContext,
    rig: ListenerRig,
    options: ConnectionOptions = {},
  ): Promise<TLSSocket> {
    const socket = dial(t, rig, options);
    socket.write(text);
    const { arrival } = await rig.inbox.take();
    rig.answer(arrival.flow, 'answer');
    assert.equal(await readText(socket, 6), 'answer');
    return socket;
  }

  function named(pair: Pair): { cert: Buffer; key: Buffer } {
    return { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) };
  }

  it('shows the certificate of the name that a client asks for', async (t) => {
    const servers = ['a.example.org', '*.b.example.org'].map((name, index) => ({
      name,
      ...made.issue(`named${index}`, 'ours', `DNS:${name}`),
    }));
    const rig = await bind(t, { servers });
    for (const [servername, shown] of [
      ['a.example.org', 'DNS:a.example.org'],
      ['A.EXAMPLE.ORG', 'DNS:a.example.org'],
      ['x.b.example.org', 'DNS:*.b.example.org'],
      ['sip.example.org', 'DNS:sip.example.org, IP Address:127.0.0.1'],
    ] as const) {
      const socket = await joined(t, rig, { servername });
      assert.equal(socket.getPeerCertificate().subjectaltname, shown);
    }
    const unnamed = await joined(t, rig);
    assert.match(unnamed.getPeerCertificate().subjectaltname ?? '', /sip\.example\.org/);
  });

  it('speaks no version below 1.2', async (t) => {
    const rig = await bind(t);
    const old = dial(t, rig, {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await closing(old);
    assert.equal(rig.counters.get('sip_handshake_failures', 'tls-version'), 1);
    const socket = await joined(t, rig, { maxVersion: 'TLSv1.2' });
    assert.equal(socket.getProtocol(), 'TLSv1.2');
  });

  it('takes clients with and without a certificate where that is optional', async (t) => {
    const clientCa = made.path('ours.pem');
    const rig = await bind(t, { clientCa, clientCertificates: 'optional' });
    await joined(t, rig);
    await joined(t, rig, named(client));
    await closing(dial(t, rig, named(stranger)));
    assert.equal(rig.counters.get('sip_handshake_failures', 'tls-client-certificate'), 1);
  });

  it('takes no client without a believed certificate where that is required', async (t) => {
    const clientCa = made.path('ours.pem');
    const servers = [{ name: 'a.example.org', ...made.issue('a', 'ours', 'DNS:a.example.org') }];
    const rig = await bind(t, { clientCa, clientCertificates: 'required', servers });
    await joined(t, rig, named(client));
    await joined(t, rig, { ...named(client), servername: 'a.example.org' });
    await closing(dial(t, rig));
    await closing(dial(t, rig, named(stranger)));
    await closing(dial(t, rig, { ...named(stranger), servername: 'a.example.org' }));
    assert.equal(rig.counters.get('sip_handshake_failures', 'tls-client-certificate'), 3);
  });

  it('resumes no session of a client whose authority is believed no more', async (t) => {
    const clientCa = made.path('believed.pem');
    copyFileSync(made.path('ours.pem'), clientCa);
    const rig = await bind(t, { clientCa, clientCertificates: 'required' });
    const first = dial(t, rig, named(client));
    const given = once(first, 'session');
    first.write(text);
    await rig.inbox.take();
    const [session] = (await given) as [Buffer];
    const second = dial(t, rig, { ...named(client), session });
    second.write(text);
    await rig.inbox.take();
    assert.ok(second.isSessionReused());
    copyFileSync(made.path('theirs.pem'), clientCa);
    await rig.listeners.reloadCertificates();
    await closing(dial(t, rig, { ...named(client), session }));
    assert.equal(rig.counters.get('sip_handshake_failures', 'tls-client-certificate'), 1);
  });

  it('counts why handshakes fail', async (t) => {
    const rig = await bind(t, {}, { limits: { handshakeTimeoutMs: 50 } });
    const plain = connectTcp({ host, port: rig.port() });
    plain.write(text);
    await closing(plain);
    assert.equal(rig.counters.get('sip_handshake_failures', 'tls-not-spoken'), 1);

    const gone = connectTcp({ host, port: rig.port() });
    await once(gone, 'connect');
    gone.destroy();
    await rig.counted('sip_handshake_failures', 'tls-reset');

    // Node's own client says nothing of it.
    const theirs = ['-CAfile', made.path('theirs.pem'), '-verify_return_error'];
    spawn('openssl', ['s_client', '-connect', `${host}:${rig.port()}`, ...theirs]);
    await rig.counted('sip_handshake_failures', 'tls-refused-by-client');

    const silent = connectTcp({ host, port: rig.port() });
    await closing(silent);
    await rig.counted('sip_handshake_failures', 'tls-timeout');
    assert.equal(rig.counters.get('sip_handshake_failures', 'tls-reset'), 1);
  });

  describe('with files that are replaced', () => {
    async function replaceable(
      t: TestContext,
      options: RigOptions = {},
    ): Promise<[Pair, ListenerRig]> {
      const pair = made.issue('replaced', 'ours', 'DNS:sip.example.org,IP:127.0.0.1');
      const given = listener({ transport: 'tls', tls: tlsOf(pair) });
      return [pair, await listening(t, [given], options)];
    }

    function replace(old: Pair, by: Pair): void {
      copyFileSync(by.certificate, old.certificate);
      copyFileSync(by.key, old.key);
    }

    it('loses no connection and uses them for the next', async (t) => {
      const [pair, rig] = await replaceable(t);
      const flows: string[] = [];
      const sockets = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const socket = dial(t, rig);
          socket.write(text);
          await once(socket, 'secureConnect');
          return socket;
        }),
      );
      while (flows.length < sockets.length) flows.push((await rig.inbox.take()).arrival.flow);
      replace(pair, stranger);
      await rig.listeners.reloadCertificates();
      assert.equal(rig.counters.get('sip_certificates', 'reloaded'), 1);
      assert.deepEqual(
        rig.logged.map(({ level }) => level),
        ['info'],
      );
      for (const flow of flows) rig.answer(flow, 'answer');
      for (const socket of sockets) assert.equal(await readText(socket, 6), 'answer');
      for (const socket of sockets) socket.write(text);
      await Promise.all(sockets.map(() => rig.inbox.take()));
      assert.equal(rig.counters.entries().get('sip_connections_lost'), undefined);
      const next = await joined(t, rig, { ca: made.ca('theirs') });
      assert.equal(next.getPeerCertificate().issuer.CN, 'theirs');
    });

    it('does nothing where nothing changed', async (t) => {
      const [, rig] = await replaceable(t);
      await rig.listeners.reloadCertificates();
      assert.deepEqual(rig.logged, []);
    });

    it('sees a change by itself', async (t) => {
      const [pair, rig] = await replaceable(t, { limits: { certificateRefreshMs: 5 } });
      replace(pair, stranger);
      await rig.counted('sip_certificates', 'reloaded');
    });

    it('keeps the old certificate while the new files are broken', async (t) => {
      const [pair, rig] = await replaceable(t);
      writeFileSync(pair.certificate, 'no certificate');
      await rig.listeners.reloadCertificates();
      await joined(t, rig);
      copyFileSync(stranger.certificate, pair.certificate);
      await rig.listeners.reloadCertificates();
      await joined(t, rig);
      assert.equal(rig.counters.get('sip_certificates', 'broken'), 2);
      assert.deepEqual(
        rig.logged.map(({ level }) => level),
        ['warn', 'warn'],
      );
      copyFileSync(stranger.key, pair.key);
      await rig.listeners.reloadCertificates();
      await joined(t, rig, { ca: made.ca('theirs') });
    });

    it('does not start with broken files', async (t) => {
      const given = listener({ transport: 'tls', tls: tlsOf({ ...server, key: stranger.key }) });
      await assert.rejects(listening(t, [given]), /key values mismatch/);
      const missing = listener({
        transport: 'tls',
        tls: tlsOf({ ...server, key: '/nonexistent' }),
      });
      await assert.rejects(listening(t, [missing]), /ENOENT/);
    });
  });

  describe('towards servers', () => {
    async function far(
      t: TestContext,
      options: TlsOptions,
    ): Promise<{ target: SipTarget; accepted: Inbox<TLSSocket> }> {
      const accepted = new Inbox<TLSSocket>();
      const tls = createServer(options, (socket) => {
        t.after(() => socket.destroy());
        accepted.put(socket);
      });
      t.after(() => tls.close());
      tls.listen(0, host);
      await once(tls, 'listening');
      const { port } = tls.address() as AddressInfo;
      const target = {
        transport: 'TLS',
        address: host,
        port,
        serverName: 'sip.example.org',
      } as const;
      return { target, accepted };
    }

    function rigFor(t: TestContext): Promise<ListenerRig> {
      return bind(t, {}, { connections: { serverCa: made.path('ours.pem') } });
    }

    it('sends where the certificate names the server, and shows its own', async (t) => {
      const rig = await rigFor(t);
      const believed = { requestCert: true, ca: made.ca('ours') };
      const { target, accepted } = await far(t, { ...named(server), ...believed });
      rig.listeners.send(target, Buffer.from(text), unexpected);
      const socket = await accepted.take();
      assert.equal(await readText(socket, text.length), text);
      assert.ok(socket.authorized);
      assert.match(socket.getPeerCertificate().subjectaltname ?? '', /sip\.example\.org/);
    });

    it('shares a connection for one name, not for two', async (t) => {
      const both = made.issue('both', 'ours', 'DNS:sip.example.org,URI:sip:other.example.org');
      const rig = await rigFor(t);
      const { target, accepted } = await far(t, named(both));
      rig.listeners.send(target, Buffer.from('one'), unexpected);
      rig.listeners.send(
        { ...target, serverName: 'SIP.example.org' },
        Buffer.from('two'),
        unexpected,
      );
      assert.equal(await readText(await accepted.take(), 6), 'onetwo');
      rig.listeners.send(
        { ...target, serverName: 'other.example.org' },
        Buffer.from('three'),
        unexpected,
      );
      assert.equal(await readText(await accepted.take(), 5), 'three');
      assert.equal(rig.counters.get('sip_dials', 'opened'), 2);
    });

    const wrong: [string, () => Pair, Partial<SipTarget>][] = [
      ['of another authority', () => stranger, {}],
      [
        'that has expired',
        () => made.issue('old', 'ours', 'DNS:sip.example.org', { days: -1 }),
        {},
      ],
      ['for another name', () => server, { serverName: 'sip.example.com' }],
      ['for another address', () => server, { serverName: '127.0.0.2' }],
      ['with a wildcard', () => made.issue('wild', 'ours', 'DNS:*.example.org'), {}],
      [
        'whose common name alone fits, beside others',
        () => made.issue('common', 'ours', 'DNS:a.example.org', { commonName: 'sip.example.org' }),
        {},
      ],
    ];
    for (const [title, pair, more] of wrong) {
      it(`sends nothing to a server with a certificate ${title}`, async (t) => {
        const rig = await rigFor(t);
        const { target } = await far(t, named(pair()));
        await new Promise<void>((failed) => {
          rig.listeners.send({ ...target, ...more }, Buffer.from(text), failed);
        });
        assert.equal(rig.counters.get('sip_dials', 'certificate'), 1);
        assert.equal(rig.counters.get('sip_dials', 'opened'), 0);
      });
    }

    it('believes a common name where there is nothing else', async (t) => {
      const rig = await rigFor(t);
      const pair = made.issue('plain', 'ours', '', { commonName: 'sip.example.org' });
      const { target, accepted } = await far(t, named(pair));
      rig.listeners.send(target, Buffer.from(text), unexpected);
      assert.equal(await readText(await accepted.take(), text.length), text);
    });

    it('believes authorities of its own choice alone where none are given', async (t) => {
      const rig = await bind(t);
      const { target } = await far(t, named(server));
      await new Promise<void>((failed) => rig.listeners.send(target, Buffer.from(text), failed));
      assert.equal(rig.counters.get('sip_dials', 'certificate'), 1);
    });

    it('gives up on a server that does not finish the handshake', async (t) => {
      const rig = await bind(t, {}, { limits: { connectTimeoutMs: 20 } });
      const silent = await listening(t, [listener({ transport: 'tcp' })]);
      const target = {
        transport: 'TLS',
        address: host,
        port: silent.port(),
        serverName: 'a',
      } as const;
      await new Promise<void>((failed) => rig.listeners.send(target, Buffer.from(text), failed));
      assert.equal(rig.counters.get('sip_dials', 'timeout'), 1);
    });
  });
});
