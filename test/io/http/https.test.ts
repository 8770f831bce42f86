import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Agent, request } from 'undici';
import type { ServerTlsConfig } from '../../../src/config/config.ts';
import { httpLimits } from '../../../src/config/defaults.ts';
import { HeaderBlock, type ResponseReceiver } from '../../../src/http/index.ts';
import type { HttpListenerOptions, OpenClient, ServeHttp } from '../../../src/io/http/index.ts';
import { Certificates, type Pair, tlsOf, withoutOpenssl } from '../accept/certificates.ts';
import { type Instance, RawClient, type Rig, startOrigin, startRig } from './http-rig.ts';
import { echoing, nothing, silentClient, until } from './listener-parts.ts';

const host = '127.0.0.1';
const get = 'GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n';

interface StartOptions {
  readonly tls?: Partial<ServerTlsConfig>;
  readonly instance?: Instance;
}

describe('HTTPS', { skip: withoutOpenssl }, () => {
  let made: Certificates;
  let server: Pair;
  let other: Pair;

  before(() => {
    made = new Certificates();
    made.authority('ours');
    made.authority('theirs');
    server = made.issue('server', 'ours', 'DNS:a.example.org,IP:127.0.0.1');
    other = made.issue('other', 'theirs', 'DNS:a.example.org,IP:127.0.0.1');
  });
  after(() => {
    made.remove();
  });

  function start(
    t: TestContext,
    listener: Partial<HttpListenerOptions> = {},
    { tls = {}, instance = echoing }: StartOptions = {},
  ): Promise<Rig> {
    return startRig(t, {
      instances: { p1: instance },
      listener: { tls: tlsOf(server, tls), ...listener },
    });
  }

  async function dial(
    t: TestContext,
    rig: Rig,
    options: ConnectionOptions = {},
  ): Promise<RawClient & { readonly socket: TLSSocket }> {
    const socket = connect({ host, port: rig.port, ca: made.ca('ours'), ...options });
    const client = new RawClient(t, socket);
    await once(socket, 'secureConnect');
    return client as RawClient & { readonly socket: TLSSocket };
  }

  it('serves requests, tells the application of it and keeps its stamps Secure', async (t) => {
    const rig = await start(t);
    const client = await dial(t, rig);
    client.send(get);
    const text = await client.until(/\r\n\r\n[^]*\n$/);
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.match(text, /^X-Forwarded-Proto: https$/m);
    assert.match(text, /^X-Forwarded-Port: 443$/m);
    const stamps = text.match(/^Set-Cookie: BE.*$/gm) ?? [];
    assert.equal(stamps.length, 2);
    for (const stamp of stamps) assert.match(stamp, /; Secure(;|\r|$)/);
  });

  it('carries large bodies both ways for a client of another author', async (t) => {
    const origin = await startOrigin(t, (incoming, outgoing) => incoming.pipe(outgoing));
    const rig = await start(t, {}, { instance: origin });
    const dispatcher = new Agent({ connect: { ca: made.ca('ours') } });
    t.after(() => dispatcher.close());
    const sent = Buffer.alloc(16_777_216, 'sailring');
    const { body } = await request(`https://${host}:${rig.port}/`, {
      dispatcher,
      method: 'POST',
      body: sent,
    });
    assert.ok(sent.equals(Buffer.from(await body.arrayBuffer())));
  });

  it('shows the certificate of the name that a client asks for', async (t) => {
    const servers = ['a.example.org', '*.b.example.org'].map((name, index) => ({
      name,
      ...made.issue(`named${index}`, 'ours', `DNS:${name}`),
    }));
    const rig = await start(t, {}, { tls: { servers } });
    for (const [servername, shown] of [
      ['a.example.org', 'DNS:a.example.org'],
      ['X.B.example.org', 'DNS:*.b.example.org'],
    ] as const) {
      const { socket } = await dial(t, rig, { servername });
      assert.equal(socket.getPeerCertificate().subjectaltname, shown);
    }
    const { socket } = await dial(t, rig);
    assert.match(socket.getPeerCertificate().subjectaltname ?? '', /127\.0\.0\.1/);
  });

  it('breaks a response that its instance broke off, so that the client sees it', async (t) => {
    const running = Promise.withResolvers<ResponseReceiver>();
    const instance: ServeHttp = (_, __, ___, response) => {
      running.resolve(response);
      return nothing;
    };
    const rig = await start(t, {}, { instance });
    const dispatcher = new Agent({ connect: { ca: made.ca('ours') } });
    t.after(() => dispatcher.destroy());
    const answer = request(`https://${host}:${rig.port}/`, { dispatcher });
    const response = await running.promise;
    const framing = { kind: 'chunked' } as const;
    response.head({ status: 200, reason: 'OK', headers: HeaderBlock.empty, framing });
    response.data(Buffer.from('half'));
    const { body } = await answer;
    response.reset('broken');
    await assert.rejects(body.text());
    assert.equal(rig.counters.get('http_defects', 'connection'), 0);
  });

  it('counts why handshakes fail', async (t) => {
    const rig = await start(t, { acceptLimits: { handshakeTimeoutMs: 50 } });
    const plain = new RawClient(t, rig.port);
    plain.send(get);
    await plain.end();
    assert.equal(rig.counters.get('http_handshake_failures', 'tls-not-spoken'), 1);
    const silent = new RawClient(t, rig.port);
    assert.equal(await silent.end(), '');
    await until(() => rig.counters.get('http_handshake_failures', 'tls-timeout') === 1);
    assert.equal(rig.counters.get('http_connections', 'accepted'), 0);
  });

  it('bounds the time of a handshake, not of what comes after it', async (t) => {
    const rig = await start(t, { acceptLimits: { handshakeTimeoutMs: 300 } });
    const client = await dial(t, rig);
    client.send(get);
    await client.until(/\n$/);
    // Another handshake that began later has run out of time: so would this one have.
    await new RawClient(t, rig.port).end();
    client.text = '';
    client.send(get);
    assert.match(await client.until(/\n$/), /^HTTP\/1\.1 200 /);
  });

  it('gives up handshakes when it stops', { timeout: 30_000 }, async (t) => {
    const rig = await start(t, { acceptLimits: { handshakeTimeoutMs: 120_000 } });
    const silent = new RawClient(t, rig.port);
    await until(() => rig.listener.connections === 1);
    await rig.listener.stop(60_000);
    assert.equal(await silent.end(), '');
  });

  it('lets running exchanges end when it stops', async (t) => {
    const running = Promise.withResolvers<ResponseReceiver>();
    const instance: ServeHttp = (_, __, ___, response) => {
      running.resolve(response);
      return nothing;
    };
    const rig = await start(t, {}, { instance });
    const client = await dial(t, rig);
    client.send(get);
    const response = await running.promise;
    const stopped = rig.listener.stop(60_000);
    const framing = { kind: 'chunked' } as const;
    response.head({ status: 200, reason: 'OK', headers: HeaderBlock.empty, framing });
    response.data(Buffer.from('whole'));
    response.end([]);
    assert.match(await client.end(), /\r\n5\r\nwhole\r\n0\r\n\r\n$/);
    await stopped;
  });

  it('closes kept connections in good order when it stops', async (t) => {
    const rig = await start(t);
    const client = await dial(t, rig);
    client.send(get);
    await client.until(/\n$/);
    const stopped = rig.listener.stop(60_000);
    await client.end();
    assert.equal(client.hasError, false);
    await stopped;
  });

  describe('with ALPN', () => {
    /** The protocol agreed on, and who was given the connection. */
    async function agreed(
      t: TestContext,
      openHttp2: OpenClient | undefined,
      options: ConnectionOptions,
      tls: Partial<ServerTlsConfig> = {},
    ): Promise<string | false | null> {
      const rig = await start(t, openHttp2 === undefined ? {} : { openHttp2 }, { tls });
      const client = await dial(t, rig, options);
      if (client.socket.alpnProtocol !== 'h2') {
        client.send(get);
        assert.match(await client.until(/\n$/), /^HTTP\/1\.1 200 /);
      }
      return client.socket.alpnProtocol;
    }

    it('speaks HTTP/2 with clients that offer it, whatever certificate they ask for', async (t) => {
      const servers = [{ name: 'n.example.org', ...made.issue('n', 'ours', 'DNS:n.example.org') }];
      for (const servername of ['a.example.org', 'n.example.org']) {
        const opened = Promise.withResolvers<boolean>();
        const open: OpenClient = (socket, remote) => {
          opened.resolve(remote.isTls);
          return silentClient(socket);
        };
        const ALPNProtocols = ['http/1.1', 'h2'];
        assert.equal(await agreed(t, open, { servername, ALPNProtocols }, { servers }), 'h2');
        assert.equal(await opened.promise, true);
      }
    });

    it('speaks HTTP/1.1 with all others', async (t) => {
      const unexpected: OpenClient = () => assert.fail('HTTP/2 was opened');
      const http1 = { ALPNProtocols: ['http/1.1'] };
      assert.equal(await agreed(t, unexpected, http1), 'http/1.1');
      assert.equal(await agreed(t, unexpected, {}), false);
      const both = { ALPNProtocols: ['h2', 'http/1.1'] };
      assert.equal(await agreed(t, undefined, both), 'http/1.1');
    });

    it('serves clients that know no more than HTTP/1.0', async (t) => {
      const http10 = { ALPNProtocols: ['http/1.0'] };
      const unexpected: OpenClient = () => assert.fail('HTTP/2 was opened');
      for (const open of [undefined, unexpected])
        assert.equal(await agreed(t, open, http10), 'http/1.0');
    });

    it('refuses clients that offer none of these', async (t) => {
      const rig = await start(t);
      const options = { host, port: rig.port, ca: made.ca('ours'), ALPNProtocols: ['sip/2'] };
      const [error] = (await once(connect(options), 'error')) as [Error];
      assert.match(error.message, /no application protocol/);
      await until(() => rig.counters.get('http_handshake_failures', 'tls-protocol') === 1);
    });
  });

  describe('with files that are replaced', () => {
    async function replaceable(
      t: TestContext,
      listener: Partial<HttpListenerOptions> = {},
    ): Promise<[Pair, Rig]> {
      const pair = made.issue('replaced', 'ours', 'DNS:a.example.org,IP:127.0.0.1');
      return [pair, await start(t, { tls: tlsOf(pair), ...listener })];
    }

    function replace(old: Pair, by: Pair): void {
      copyFileSync(by.certificate, old.certificate);
      copyFileSync(by.key, old.key);
    }

    async function issuer(t: TestContext, rig: Rig): Promise<string | undefined> {
      const { socket } = await dial(t, rig, { rejectUnauthorized: false });
      const { CN } = socket.getPeerCertificate().issuer;
      return typeof CN === 'string' ? CN : undefined;
    }

    it('loses no connection and no request under load', async (t) => {
      const [pair, rig] = await replaceable(t);
      const connections = 8;
      const ca = [made.ca('ours'), made.ca('theirs')];
      const dispatcher = new Agent({ connections, connect: { ca } });
      t.after(() => dispatcher.close());
      const get = async (): Promise<number> => {
        const { statusCode, body } = await request(`https://${host}:${rig.port}/`, { dispatcher });
        await body.dump();
        return statusCode;
      };
      let isOver = false;
      let served = 0;
      const clients = Array.from({ length: connections }, async () => {
        while (!isOver) {
          assert.equal(await get(), 200);
          served += 1;
        }
      });
      const more = async (): Promise<void> => {
        const seen = served;
        await until(() => served >= seen + 20 * connections);
      };
      await more();
      for (const by of [other, server, other]) {
        replace(pair, by);
        await rig.listener.reloadCertificates();
        await more();
      }
      isOver = true;
      await Promise.all(clients);
      assert.equal(rig.counters.get('http_certificates', 'reloaded'), 3);
      assert.equal(rig.counters.get('http_connections', 'accepted'), connections);
      assert.equal(rig.counters.get('http_connections', 'broken'), 0);
      assert.equal(await issuer(t, rig), 'theirs');
    });

    it('sees a change by itself', async (t) => {
      const [pair, rig] = await replaceable(t, { acceptLimits: { certificateRefreshMs: 5 } });
      replace(pair, other);
      await until(() => rig.counters.get('http_certificates', 'reloaded') > 0);
      assert.ok(rig.log.some((line) => line.includes('read again')));
    });

    it('keeps the old certificate while the new files are broken', async (t) => {
      const [pair, rig] = await replaceable(t);
      writeFileSync(pair.certificate, 'no certificate');
      await rig.listener.reloadCertificates();
      assert.equal(rig.counters.get('http_certificates', 'broken'), 1);
      assert.ok(rig.log.some((line) => line.includes('the old ones stay')));
      assert.equal(await issuer(t, rig), 'ours');
    });

    it('tells of broken files no more often than of any other failure', async (t) => {
      const [pair, rig] = await replaceable(t);
      writeFileSync(pair.certificate, 'no certificate');
      const times = 4 * httpLimits.logLinesPerSecond;
      for (let time = 0; time < times; time++) await rig.listener.reloadCertificates();
      assert.equal(rig.counters.get('http_certificates', 'broken'), times);
      assert.ok(rig.log.filter((line) => line.includes('the old ones stay')).length < times);
    });

    it('does not start with broken files', async (t) => {
      await assert.rejects(start(t, { tls: tlsOf({ ...server, key: other.key }) }), /mismatch/);
    });
  });

  it('asks for client certificates where the configuration says so', async (t) => {
    const clientCa = made.path('ours.pem');
    const rig = await start(t, {}, { tls: { clientCa, clientCertificates: 'required' } });
    const refused = new RawClient(t, connect({ host, port: rig.port, ca: made.ca('ours') }));
    refused.send(get);
    assert.equal(await refused.end(), '');
    assert.equal(rig.counters.get('http_handshake_failures', 'tls-client-certificate'), 1);
  });

  it('has room for so many connections, those in their handshake included', async (t) => {
    const rig = await start(t, { connectionsMax: 1 });
    const first = connectTcp({ host, port: rig.port });
    t.after(() => first.destroy());
    await until(() => rig.listener.connections === 1);
    assert.equal(await new RawClient(t, rig.port).end(), '');
    assert.equal(rig.counters.get('http_connections', 'refused'), 1);
  });
});
