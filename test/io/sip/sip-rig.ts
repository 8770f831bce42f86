import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { TestContext } from 'node:test';
import type { SipConnectionsConfig, SipListenerConfig } from '../../../src/config/config.ts';
import { SipListeners, type SipListenersOptions } from '../../../src/io/sip/index.ts';
import type { Arrival } from '../../../src/pipeline/arrival.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

export interface Received {
  readonly message: string;
  readonly arrival: Arrival;
}

/** Why tests on IPv6 cannot run; false: they can. */
export const withoutIpv6: string | false = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .some(({ address }) => address === '::1')
  ? false
  : 'this machine has no ::1';

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

export interface LoggedLine {
  readonly level: 'info' | 'warn';
  readonly text: string;
}

/** A listener on loopback with everything left out. */
export function listener(given: Partial<SipListenerConfig> = {}): SipListenerConfig {
  return {
    transport: 'udp',
    address: '127.0.0.1',
    port: 0,
    type: 'default',
    proxyProtocol: [],
    ...given,
  };
}

const connections: SipConnectionsConfig = { idleMs: 660_000, lifetimeMs: 0, perSourceMax: 1_000 };

export type RigOptions = Pick<
  SipListenersOptions,
  'limits' | 'publicAddress' | 'unlimitedSources'
> & {
  readonly connections?: Partial<SipConnectionsConfig>;
};

/** Bound listeners, with what they received, counted and logged. */
export class ListenerRig {
  readonly inbox: Inbox<Received> = new Inbox<Received>();
  readonly counters: Counters = new Counters();
  readonly logged: LoggedLine[] = [];
  readonly listeners: SipListeners;
  nowMs = 0;

  constructor(listeners: readonly SipListenerConfig[], options: RigOptions = {}) {
    this.listeners = new SipListeners({
      ...options,
      listeners,
      connections: { ...connections, ...options.connections },
      receive: (message, arrival) =>
        this.inbox.put({ message: message.toString('latin1'), arrival }),
      counters: this.counters,
      now: () => this.nowMs,
      log: {
        info: (...line: unknown[]) => this.logged.push({ level: 'info', text: String(line[1]) }),
        warn: (...line: unknown[]) => this.logged.push({ level: 'warn', text: String(line[1]) }),
      },
    });
  }

  port(index = 0): number {
    return this.listeners.bound[index]!.port;
  }

  /** Sends text on a flow; the address counts for datagrams and lost connections. */
  answer(flow: string, text: string, to: { address: string; port: number } = nowhere): void {
    this.listeners.answer(flow, { message: Buffer.from(text), transport: '', ...to });
  }

  /** Waits until something was counted so often. */
  async counted(name: string, reason: string, times = 1): Promise<void> {
    await until(() => this.counters.get(name, reason) >= times);
  }
}

/** Nobody listens there, and no test lets it come to that. */
export const nowhere = { address: '127.0.0.1', port: 9 };

/** For a request that must be sent. */
export function unexpected(): never {
  throw new Error('the target was not reached');
}

/** Settles when a connection is closed, by a fault or in good order. */
export function closing(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** Waits turn by turn of the event loop; gives up long after it should have come true. */
export async function until(isSo: () => boolean): Promise<void> {
  const latestMs = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > latestMs) throw new Error(`never true: ${String(isSo)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Starts listeners, stopped after the test. */
export async function listening(
  t: TestContext,
  listeners: readonly SipListenerConfig[],
  options: RigOptions = {},
): Promise<ListenerRig> {
  const rig = new ListenerRig(listeners, options);
  t.after(() => rig.listeners.stop());
  await rig.listeners.start();
  return rig;
}

/** A connected TCP client. */
export async function tcpClient(t: TestContext, address: string, port: number): Promise<Socket> {
  const socket = connect({ host: address, port });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** A server that listens on loopback, with the connections that it accepted. */
export async function tcpServer(
  t: TestContext,
  address = '127.0.0.1',
): Promise<{ server: Server; port: number; accepted: Inbox<Socket> }> {
  const accepted = new Inbox<Socket>();
  const server = createServer((socket) => {
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    accepted.put(socket);
  });
  t.after(() => server.close());
  server.listen(0, address);
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
