import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  connect,
  createServer,
  isIPv6,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import type { TestContext } from 'node:test';
import { SipListeners, type SipListenerOptions } from '../../../src/io/sip/index.ts';
import type { Arrival } from '../../../src/pipeline/arrival.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

export interface Received {
  readonly message: string;
  readonly arrival: Arrival;
}

/** Things that come one after another, for a test that waits for each. */
export class Inbox<Item> {
  readonly #items: Item[] = [];
  readonly #takers: ((item: Item) => void)[] = [];

  put(item: Item): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  take(): Promise<Item> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}

/** Bound listeners, with what they received and counted. */
export class ListenerRig {
  readonly inbox: Inbox<Received> = new Inbox<Received>();
  readonly counters: Counters = new Counters();
  readonly listeners: SipListeners;
  nowMs = 0;

  constructor(listeners: readonly SipListenerOptions[]) {
    this.listeners = new SipListeners({
      listeners,
      receive: (message, arrival) =>
        this.inbox.put({ message: message.toString('latin1'), arrival }),
      counters: this.counters,
      now: () => this.nowMs,
    });
  }

  port(index = 0): number {
    return this.listeners.bound[index]!.port;
  }

  /** Sends text on a flow; the address counts for datagrams and lost connections. */
  answer(flow: string, text: string, to: { address: string; port: number }): void {
    const transport = flow.startsWith('t') ? 'TCP' : 'UDP';
    this.listeners.answer(flow, { message: Buffer.from(text), transport, ...to });
  }
}

/** Starts listeners, stopped after the test. */
export async function listening(
  t: TestContext,
  ...listeners: SipListenerOptions[]
): Promise<ListenerRig> {
  const rig = new ListenerRig(listeners);
  await rig.listeners.start();
  t.after(() => rig.listeners.stop());
  return rig;
}

/** A client's UDP socket. */
export async function udpClient(t: TestContext, address: string): Promise<UdpSocket> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  t.after(() => socket.close());
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** A connected client. */
export async function tcpClient(t: TestContext, address: string, port: number): Promise<Socket> {
  const socket = connect({ host: address, port });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** A server that listens on loopback, with the connections that it accepted. */
export async function tcpServer(
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

/** Reads until so much text has come. */
export async function readText(socket: Socket, length: number): Promise<string> {
  let text = '';
  while (text.length < length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    text += chunk.toString('latin1');
  }
  return text;
}
