import assert from 'node:assert/strict';
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { parseHostPort } from '../../../src/config/address.ts';
import type { SprayerAddresses, SprayerMode } from '../../../src/io/sprayer/sprayer.ts';
import { Sprayer } from '../../../src/io/sprayer/sprayer.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { FakePeer } from './fake-peer.ts';

interface Setup {
  readonly peers: readonly FakePeer[];
  readonly addresses: SprayerAddresses;
  readonly counters: Counters;
  readonly sprayer: Sprayer;
}

async function setUp(
  t: TestContext,
  mode: SprayerMode,
  peers = ['a', 'b', 'c'].map((name) => new FakePeer(name)),
): Promise<Setup> {
  const counters = new Counters();
  await Promise.all(peers.map((peer) => peer.start()));
  const sprayer = new Sprayer({
    mode,
    sip: { address: '127.0.0.1', port: 0 },
    http: { address: '127.0.0.1', port: 0 },
    peers,
    counters,
  });
  const addresses = await sprayer.start();
  t.after(async () => {
    await sprayer.stop();
    await Promise.all(peers.map((peer) => peer.stop()));
  });
  return { peers, addresses, counters, sprayer };
}

/** A UDP client that asks one thing after another. */
class Client {
  readonly #socket: UdpSocket;
  readonly #port: number;

  constructor(t: TestContext, address: string) {
    this.#socket = createSocket('udp4');
    this.#port = parseHostPort(address)!.port;
    t.after(() => this.#socket.close());
  }

  async ask(text: string): Promise<string> {
    this.#socket.send(text, this.#port, '127.0.0.1');
    return this.next();
  }

  /** The next answer, which must come from the public port. */
  async next(): Promise<string> {
    const [answer, from] = (await once(this.#socket, 'message')) as [Buffer, RemoteInfo];
    assert.equal(from.port, this.#port);
    return answer.toString();
  }

  async askAll(texts: readonly string[]): Promise<string[]> {
    const answers: string[] = [];
    for (const text of texts) answers.push(await this.ask(text));
    return answers;
  }
}

function ask(address: string, text: string): Promise<string> {
  const socket = open(address);
  socket.end(text);
  return buffer(socket).then(String);
}

function open(address: string): Socket {
  const { host, port } = parseHostPort(address)!;
  return connect({ host, port, allowHalfOpen: true });
}

/** Asks until an answer is as wanted: for what another task does in its own time. */
async function until<T>(attempt: () => Promise<T>, isWanted: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await attempt();
    if (isWanted(value)) return value;
  }
}

describe('the sprayer, datagrams', () => {
  it('per packet: each goes to the next peer, also of one client', async (t) => {
    const { addresses, counters } = await setUp(t, 'per-packet');
    const client = new Client(t, addresses.sip.udp);
    const answers = await client.askAll(['1', '2', '3', '4', '5', '6', '7']);
    assert.deepEqual(answers, ['a 1', 'b 2', 'c 3', 'a 4', 'b 5', 'c 6', 'a 7']);
    assert.equal(counters.get('sprayer_datagrams', 'to_peer'), 7);
    assert.equal(counters.get('sprayer_datagrams', 'to_client'), 7);
  });

  it('flow: one client stays at one peer, another goes to the next', async (t) => {
    const { addresses } = await setUp(t, 'flow');
    const clients = [1, 2, 3].map(() => new Client(t, addresses.sip.udp));
    for (const [at, name] of ['a', 'b', 'c'].entries())
      assert.deepEqual(await clients[at]!.askAll(['1', '2', '3']), [
        `${name} 1`,
        `${name} 2`,
        `${name} 3`,
      ]);
  });

  it('every peer sees a client under one address, each client under its own', async (t) => {
    const { addresses, peers } = await setUp(t, 'per-packet');
    const [one, other] = [new Client(t, addresses.sip.udp), new Client(t, addresses.sip.udp)];
    await one.askAll(['1', '2', '3', '4']);
    const seen = new Set(peers.flatMap((peer) => peer.sources));
    assert.equal(seen.size, 1);
    await other.ask('5');
    assert.equal(new Set(peers.flatMap((peer) => peer.sources)).size, 2);
  });

  it('a peer that got nothing may answer, from the public port', async (t) => {
    const { addresses, peers } = await setUp(t, 'flow');
    const client = new Client(t, addresses.sip.udp);
    await client.ask('1');
    const [asked, , third] = peers;
    third?.send('from the third', asked?.sources[0] ?? 0);
    assert.equal(await client.next(), 'from the third');
  });

  it('a stranger cannot send to a client', async (t) => {
    const { addresses, peers, counters } = await setUp(t, 'flow');
    const client = new Client(t, addresses.sip.udp);
    await client.ask('1');
    const stranger = createSocket('udp4');
    t.after(() => stranger.close());
    stranger.send('unasked', peers[0]!.sources[0], '127.0.0.1');
    await until(
      () => client.ask('2'),
      (answer) => {
        assert.equal(answer, 'a 2');
        return counters.get('sprayer_datagrams', 'stranger') === 1;
      },
    );
  });

  for (const mode of ['per-packet', 'flow'] as const)
    it(`${mode}: a peer that died is avoided, and used again when it is back`, async (t) => {
      const { addresses, peers, sprayer } = await setUp(t, mode);
      const client = new Client(t, addresses.sip.udp);
      const victim = peers[mode === 'flow' ? 0 : 1]!;
      const { port } = parseHostPort(victim.sip)!;
      await victim.stop();
      await until(
        () => ask(addresses.http, 'x'),
        () => sprayer.livingPeers === 2,
      );
      const answers = await client.askAll(['1', '2', '3', '4']);
      assert.ok(
        answers.every((answer) => !answer.startsWith(victim.name)),
        answers.join(),
      );
      await victim.start(port);
      await until(
        () => ask(addresses.http, 'x'),
        () => sprayer.livingPeers === 3,
      );
      if (mode === 'flow') return;
      const later = await client.askAll(['1', '2', '3']);
      assert.ok(
        later.some((answer) => answer.startsWith(victim.name)),
        later.join(),
      );
    });
});

describe('the sprayer, connections', () => {
  it('each goes to the next peer, for SIP and HTTP', async (t) => {
    const { addresses } = await setUp(t, 'flow');
    for (const address of [addresses.sip.tcp, addresses.http]) {
      const answers = [];
      for (const text of ['1', '2', '3', '4']) answers.push(await ask(address, text));
      assert.deepEqual(answers, ['a 1', 'b 2', 'c 3', 'a 4']);
    }
  });

  it('one that a peer refuses goes to another', async (t) => {
    const { addresses, peers, counters } = await setUp(t, 'flow');
    await peers[0]!.stop();
    await peers[1]!.stop();
    for (const text of ['1', '2', '3']) assert.equal(await ask(addresses.http, text), `c ${text}`);
    assert.equal(counters.get('sprayer_http_connections', 'joined'), 3);
  });

  it('one that every peer refuses is reset', async (t) => {
    const { addresses, peers, counters } = await setUp(t, 'flow');
    await Promise.all(peers.map((peer) => peer.stop()));
    await assert.rejects(ask(addresses.http, '1'), { code: 'ECONNRESET' });
    assert.equal(counters.get('sprayer_http_connections', 'no_peer'), 1);
    assert.equal(counters.get('sprayer_http_connections', 'refused'), 3);
  });

  it('half-closed ones still carry the answer', async (t) => {
    const { addresses } = await setUp(t, 'flow', [new FakePeer('only')]);
    const body = 'x'.repeat(3_000_000);
    assert.equal(await ask(addresses.http, body), `only ${body}`);
  });

  it('a client that reads slowly holds the peer back', async (t) => {
    const chunk = Buffer.alloc(65_536);
    let written = 0;
    const flood = new FakePeer('flood', (_name, socket) => {
      const write = (): void => {
        while (written < 200_000_000 && socket.writable) {
          written += chunk.length;
          if (!socket.write(chunk)) return;
        }
      };
      socket.on('drain', write);
      socket.on('data', write);
    });
    const { addresses } = await setUp(t, 'flow', [flood]);
    const clock = new Client(t, addresses.sip.udp);
    const client = open(addresses.http);
    client.write('go');
    await once(client, 'readable');
    let before = -1;
    // Without back-pressure all would be written; with it the flow comes to rest far below.
    while (written !== before) {
      before = written;
      for (let turn = 0; turn < 100; turn++) await clock.ask('tick');
    }
    assert.ok(written < 100_000_000, `${written} bytes were taken`);
    client.destroy();
  });

  it('a broken client breaks the connection to the peer', async (t) => {
    let broken: Promise<void> | undefined;
    const peer = new FakePeer('a', (_name, socket) => {
      socket.on('data', () => {
        broken = new Promise((resolve) => {
          socket.on('close', () => {
            resolve();
          });
        });
        socket.write('got it');
      });
    });
    const { addresses } = await setUp(t, 'flow', [peer]);
    const client = open(addresses.http);
    client.write('x');
    await once(client, 'data');
    client.resetAndDestroy();
    await broken;
    assert.notEqual(broken, undefined);
  });
});

describe('the sprayer, start', () => {
  it('gives UDP and TCP one port', async (t) => {
    const { addresses } = await setUp(t, 'flow');
    assert.equal(addresses.sip.udp, addresses.sip.tcp);
  });

  it('rejects when a port is taken, and leaves the others free', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const options = {
      mode: 'flow',
      peers: [{ sip: '127.0.0.1:1', http: '127.0.0.1:1' }],
      counters: new Counters(),
    } as const;
    const free = new Sprayer({
      ...options,
      sip: { address: '127.0.0.1', port: 0 },
      http: { address: '127.0.0.1', port: 0 },
    });
    const addresses = await free.start();
    await free.stop();
    const sip = { address: '127.0.0.1', port: parseHostPort(addresses.sip.udp)!.port };
    const blocked = new Sprayer({ ...options, sip, http: { address: '127.0.0.1', port } });
    await assert.rejects(blocked.start(), { code: 'EADDRINUSE', port });
    const again = createServer().listen(sip.port, '127.0.0.1');
    await once(again, 'listening');
    again.close();
  });

  it('refuses peers that are not ip:port', () => {
    assert.throws(
      () =>
        new Sprayer({
          mode: 'flow',
          sip: { address: '127.0.0.1', port: 0 },
          http: { address: '127.0.0.1', port: 0 },
          peers: [{ sip: 'peer-1:5060', http: '127.0.0.1:1' }],
          counters: new Counters(),
        }),
      /not ip:port: peer-1:5060/u,
    );
  });
});
