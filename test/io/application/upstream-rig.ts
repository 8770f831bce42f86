import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { UpstreamSip, UpstreamSipOptions } from '../../../src/io/application/upstream-sip.ts';
import { createUpstreamSip } from '../../../src/io/application/upstream.ts';
import type { Arrival } from '../../../src/pipeline/arrival.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { Inbox } from '../sip/sip-rig.ts';

/** Counters that tell a test what they count, so that it can wait for it. */
class WatchedCounters extends Counters {
  readonly counted: Inbox<string> = new Inbox<string>();

  override count(name: string, reason: string, by = 1): void {
    super.count(name, reason, by);
    this.counted.put(`${name} ${reason}`);
  }
}

export type RigOptions = Partial<UpstreamSipOptions> & { readonly port: number };

interface Received {
  readonly text: string;
  readonly arrival: Arrival;
}

/** The SIP sockets of an upstream application at 127.0.0.1, with what came in on them. */
export class UpstreamRig {
  readonly counters: WatchedCounters = new WatchedCounters();
  readonly requests: Inbox<Received> = new Inbox<Received>();
  readonly responses: Inbox<string> = new Inbox<string>();
  readonly refused: Inbox<string> = new Inbox<string>();
  readonly logged: object[] = [];
  readonly sip: UpstreamSip;
  nowMs = 0;

  constructor(options: RigOptions) {
    this.sip = createUpstreamSip({
      host: '127.0.0.1',
      transport: 'udp',
      extraServerNodes: [],
      local: { address: '127.0.0.1', port: 0 },
      counters: this.counters,
      now: () => this.nowMs,
      log: { warn: (details) => this.logged.push(details) },
      request: (message, arrival) =>
        this.requests.put({ text: message.toString('latin1'), arrival }),
      response: (message) => this.responses.put(message.toString('latin1')),
      refused: (message) => this.refused.put(message.toString('latin1')),
      ...options,
    });
  }

  /** Port of both sockets. */
  get port(): number {
    return Number(this.sip.localAddress.split(':').at(-1));
  }

  /** Waits until this has been counted. */
  async counted(what: string): Promise<void> {
    while ((await this.counters.counted.take()) !== what);
  }
}

export async function started(t: TestContext, options: RigOptions): Promise<UpstreamRig> {
  const rig = new UpstreamRig(options);
  await rig.sip.start();
  t.after(() => rig.sip.stop());
  return rig;
}

/** A UDP socket of the application. */
export async function udpNode(t: TestContext, address: string, port = 0): Promise<UdpSocket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  t.after(() => socket.close());
  socket.bind(port, address);
  await once(socket, 'listening');
  return socket;
}

/** A TCP port of the application, with the connections that it accepted. */
export async function tcpNode(
  t: TestContext,
  port = 0,
): Promise<{ server: Server; port: number; accepted: Inbox<Socket> }> {
  const accepted = new Inbox<Socket>();
  const server = createServer((socket) => {
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    accepted.put(socket);
  });
  t.after(() => server.close());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, accepted };
}

/** The next datagram, as text. */
export async function datagram(socket: UdpSocket): Promise<string> {
  const [bytes] = (await once(socket, 'message')) as [Buffer];
  return bytes.toString('latin1');
}

/** A connection from an address of the application to its peer. */
export async function dial(
  t: TestContext,
  port: number,
  localAddress = '127.0.0.1',
): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}
