import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { SourcePlaces } from '../../../src/io/accept/index.ts';
import type { HttpListenerOptions } from '../../../src/io/http/index.ts';
import { NetworkSet } from '../../../src/pipeline/network.ts';
import { Certificates, tlsOf, withoutOpenssl } from '../accept/certificates.ts';
import { RawClient, type Rig, startRig } from './http-rig.ts';
import { echoing, until } from './listener-parts.ts';

const host = '127.0.0.1';
const get = 'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n';

function v1(address = '203.0.113.7'): string {
  const [family, to] = address.includes(':') ? ['TCP6', '2001:db8::1'] : ['TCP4', '192.0.2.1'];
  return `PROXY ${family} ${address} ${to} 40000 80\r\n`;
}

const signature = '\r\n\r\n\0\r\nQUIT\n';
const v2 = `${signature}\x21\x11\0\x0c\xcb\0\x71\x07\xc0\0\x02\x01\x9c\x40\0\x50`;
const local = `${signature}\x20\0\0\0`;

function start(t: TestContext, listener: Partial<HttpListenerOptions> = {}): Promise<Rig> {
  const proxyProtocol = ['192.0.2.9', '127.0.0.0/8'];
  return startRig(t, { instances: { p1: echoing }, listener: { proxyProtocol, ...listener } });
}

/** The answer to one request behind what a connection begins with. */
async function ask(t: TestContext, rig: Rig, begin: string): Promise<string> {
  const client = new RawClient(t, rig.port);
  client.send(begin + get);
  return client.until(/\r\n\r\n[^]*\n$/);
}

function places(max: number, ...unlimited: string[]): SourcePlaces {
  return new SourcePlaces(max, new NetworkSet(unlimited));
}

describe('an HTTP listener behind a sprayer that writes PROXY headers', () => {
  for (const [version, header] of [
    ['1', v1()],
    ['2', v2],
  ] as const) {
    it(`takes the client from a header of version ${version}`, async (t) => {
      const rig = await start(t);
      assert.match(await ask(t, rig, header), /^X-Forwarded-For: 203\.0\.113\.7$/m);
    });

    it(`takes a header of version ${version} in pieces, and requests that follow at once`, async (t) => {
      const rig = await start(t);
      const client = new RawClient(t, rig.port);
      for (const byte of header) {
        client.send(byte);
        await new Promise(setImmediate);
      }
      client.send(get + get);
      await client.until(/(203\.0\.113\.7[^]*){2}\n$/);
    });

    it(`believes forwarding headers by the source of version ${version}, not by the sprayer`, async (t) => {
      const believed = await start(t, { trustedProxies: ['203.0.113.0/24'] });
      assert.match(
        await ask(t, believed, header),
        /^X-Forwarded-For: 198\.51\.100\.1, 203\.0\.113\.7$/m,
      );
      const sprayer = await start(t, { trustedProxies: [host] });
      assert.match(await ask(t, sprayer, header), /^X-Forwarded-For: 203\.0\.113\.7$/m);
    });
  }

  it('takes a sprayer that speaks for itself as the client', async (t) => {
    const rig = await start(t);
    assert.match(await ask(t, rig, local), /^X-Forwarded-For: 127\.0\.0\.1$/m);
  });

  for (const [what, begin] of [
    ['without a header', ''],
    ['with a malformed header', 'PROXY TCP4 nobody 192.0.2.1 1 2\r\n'],
    ['whose header comes behind something else', `\r\n${v1()}`],
  ] as const) {
    it(`closes a connection ${what}`, async (t) => {
      const rig = await start(t);
      const client = new RawClient(t, rig.port);
      client.send(begin + get);
      assert.equal(await client.end(), '');
      assert.equal(rig.counters.get('http_handshake_failures', 'proxy-header'), 1);
      assert.equal(rig.counters.get('http_requests', 'received'), 0);
    });
  }

  it('closes connections from elsewhere, header or not', async (t) => {
    const rig = await start(t, { proxyProtocol: ['192.0.2.9', '2001:db8::/32'] });
    for (const begin of ['', v1()]) {
      const client = new RawClient(t, rig.port);
      client.send(begin + get);
      assert.equal(await client.end(), '');
    }
    assert.equal(rig.counters.get('http_handshake_failures', 'proxy-source'), 2);
    assert.equal(rig.counters.get('http_requests', 'received'), 0);
  });

  it(
    'closes a connection that ends before its header, as health checks do, at once',
    {
      timeout: 5_000,
    },
    async (t) => {
      const rig = await start(t);
      const client = new RawClient(t, rig.port);
      client.socket.end(v1().slice(0, 10));
      assert.equal(await client.end(), '');
      assert.equal(rig.counters.get('http_handshake_failures', 'proxy-header'), 1);
      assert.equal(rig.counters.get('http_handshake_failures', 'proxy-timeout'), 0);
    },
  );

  it('serves a client that ends behind its request', async (t) => {
    const rig = await start(t);
    const client = new RawClient(t, rig.port);
    client.socket.end(v1() + get);
    assert.match(await client.end(), /^HTTP\/1\.1 200 /);
  });

  it('closes a connection whose header does not come in time', async (t) => {
    const rig = await start(t, { acceptLimits: { handshakeTimeoutMs: 10 } });
    const client = new RawClient(t, rig.port);
    client.send(v1().slice(0, 10));
    assert.equal(await client.end(), '');
    assert.equal(rig.counters.get('http_handshake_failures', 'proxy-timeout'), 1);
  });

  it('does not bound the time of what comes after a header', async (t) => {
    const rig = await start(t, { acceptLimits: { handshakeTimeoutMs: 100 } });
    const client = new RawClient(t, rig.port);
    client.send(v1() + get);
    await client.until(/\n$/);
    // Another handshake that began later has run out of time: so would this one have.
    await new RawClient(t, rig.port).end();
    client.text = '';
    client.send(get);
    assert.match(await client.until(/\n$/), /^HTTP\/1\.1 200 /);
  });

  it('is a matter of its configuration: without it a header is no request', async (t) => {
    const rig = await start(t, { proxyProtocol: [] });
    const client = new RawClient(t, rig.port);
    client.send(v1() + get);
    assert.match(await client.end(), /^HTTP\/1\.1 400 /);
  });

  it('has room for so many connections of a client, not of the sprayer', async (t) => {
    const rig = await start(t, { sources: places(1) });
    for (const address of ['203.0.113.7', '203.0.113.8', '2001:db8:0:1::7', '2001:db8:0:2::7']) {
      await ask(t, rig, v1(address));
    }
    for (const address of ['203.0.113.7', '2001:db8:0:1::8']) {
      const client = new RawClient(t, rig.port);
      client.send(v1(address) + get);
      assert.equal(await client.end(), '');
    }
    assert.equal(rig.counters.get('http_connections', 'source-limit'), 2);
  });

  describe('in front of TLS', { skip: withoutOpenssl }, () => {
    let made: Certificates;
    before(() => {
      made = new Certificates();
      made.authority('ours');
    });
    after(() => {
      made.remove();
    });

    it('leaves the handshake alone', async (t) => {
      const pair = made.issue('server', 'ours', 'IP:127.0.0.1');
      const rig = await start(t, { tls: tlsOf(pair) });
      const tcp = connectTcp({ host, port: rig.port });
      tcp.write(v2, 'latin1');
      const client = new RawClient(t, connect({ socket: tcp, host, ca: made.ca('ours') }));
      client.send(get);
      const text = await client.until(/\n$/);
      assert.match(text, /^X-Forwarded-For: 203\.0\.113\.7$/m);
      assert.match(text, /^X-Forwarded-Proto: https$/m);
    });
  });
});

describe('room for connections of one source', () => {
  it('is counted over all listeners that share it, and given back', async (t) => {
    const sources = places(1);
    const [first, second] = [
      await start(t, { proxyProtocol: [], sources }),
      await start(t, { proxyProtocol: [], sources }),
    ];
    const held = new RawClient(t, first.port);
    held.send(get);
    await held.until(/\n$/);
    assert.equal(await new RawClient(t, second.port).end(), '');
    assert.equal(second.counters.get('http_connections', 'source-limit'), 1);
    held.socket.destroy();
    await until(() => first.listener.connections === 0);
    assert.match(await ask(t, second, ''), /^HTTP\/1\.1 200 /);
  });

  it('does not bind trusted proxies, which carry many clients', async (t) => {
    const rig = await start(t, { proxyProtocol: [], sources: places(1, host) });
    await ask(t, rig, '');
    assert.match(await ask(t, rig, ''), /^HTTP\/1\.1 200 /);
  });
});
