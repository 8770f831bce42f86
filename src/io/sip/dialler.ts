import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { ConnectionTable } from './connection-table.ts';
import type { SipConnection } from './connection.ts';
import { numericLookup } from './numeric-lookup.ts';
import { checkSipServer } from './server-identity.ts';
import type { StreamListener } from './stream-listener.ts';
import type { TransportContext } from './transport-context.ts';

/** Whom to dial; the listener says under which names, and whether by TLS. */
export interface DialTarget {
  readonly address: string;
  readonly port: number;
  /** Name that a TLS certificate must bear. */
  readonly serverName: string;
}

interface Waiting {
  readonly message: Buffer;
  readonly failed: () => void;
}

interface Dial {
  readonly socket: Socket;
  readonly waiting: Waiting[];
  readonly timer: NodeJS.Timeout;
  isTimedOut: boolean;
  /** The first fault that the system or TLS told. */
  fault: NodeJS.ErrnoException | undefined;
}

/**
 * Connections that this peer dials: to targets of requests, and to clients whose connection was gone
 * when their response came.
 *
 * A request goes on a connection that we dialled before to the same address and, by TLS, the same
 * server name, or on a new one. It never goes on a connection that others dialled because they sit
 * at the target's address: what RFC 5923 calls an alias proves nothing over TCP, so whoever writes
 * `alias` into a Via could take the requests of a neighbour behind the same address; over TLS it is
 * safe between servers with client certificates only. Clients that cannot be dialled are reached by
 * signed flow tokens instead (RFC 5626), which name the connection itself.
 */
export class Dialler {
  readonly #context: TransportContext;
  readonly #table: ConnectionTable;
  /** Under way, by what they are for. */
  readonly #dials = new Map<string, Dial>();
  /** Open ones for requests, by target. */
  readonly #open = new Map<string, SipConnection>();
  #isStopped = false;

  constructor(context: TransportContext, table: ConnectionTable) {
    this.#context = context;
    this.#table = table;
  }

  /** Sends a request. `failed` is called, never before this returns, when it cannot be reached. */
  send(listener: StreamListener, target: DialTarget, message: Buffer, failed: () => void): void {
    const name = listener.credentials === undefined ? '' : ` ${target.serverName.toLowerCase()}`;
    const key = `${listener.flow} ${target.address} ${target.port}${name}`;
    const open = this.#open.get(key);
    if (open?.isOpen === true) {
      if (!open.send(message)) queueMicrotask(failed);
      return;
    }
    const kept = (socket: Socket): SipConnection => {
      const connection = listener.keep(this.#table.nameFlow(listener.flow), socket, target);
      this.#open.set(key, connection);
      socket.once('close', () => {
        if (this.#open.get(key) === connection) this.#open.delete(key);
      });
      return connection;
    };
    this.#wait(key, listener, target, { message, failed }, kept);
  }

  /** Sends a response on a new connection, which takes the name of the lost flow over. */
  redial(listener: StreamListener, flow: string, target: DialTarget, message: Buffer): void {
    const { counters } = this.#context;
    const waiting = {
      message,
      failed: () => {
        counters.count('sip_drops', 'flow-lost');
      },
    };
    this.#wait(flow, listener, target, waiting, (socket) => listener.keep(flow, socket, target));
  }

  /** Gives up what is under way; nobody is told. */
  stop(): void {
    this.#isStopped = true;
    for (const { socket } of this.#dials.values()) socket.destroy();
  }

  #wait(
    key: string,
    listener: StreamListener,
    target: DialTarget,
    waiting: Waiting,
    kept: (socket: Socket) => SipConnection,
  ): void {
    const { limits, counters } = this.#context;
    const running = this.#dials.get(key);
    if (running !== undefined && running.waiting.length < limits.messagesPerDialMax) {
      running.waiting.push(waiting);
      return;
    }
    const dial = running === undefined ? this.#dial(key, listener, target, kept) : undefined;
    if (dial === undefined) {
      counters.count('sip_dials', 'limit');
      queueMicrotask(waiting.failed);
    } else dial.waiting.push(waiting);
  }

  #dial(
    key: string,
    listener: StreamListener,
    target: DialTarget,
    kept: (socket: Socket) => SipConnection,
  ): Dial | undefined {
    const { limits, counters } = this.#context;
    if (this.#isStopped || this.#dials.size >= limits.dialsMax) return undefined;
    const { localAddress } = listener;
    const tcp = connectTcp({
      host: target.address,
      port: target.port,
      // Names are resolved before they come here; a name in a client's Via is nothing to look up.
      lookup: numericLookup,
      autoSelectFamily: false,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    if (!this.#table.places.admit(tcp)) return void tcp.on('error', () => undefined).destroy();
    const socket = listener.credentials === undefined ? tcp : secure(listener, target, tcp);
    const timer = setTimeout(() => {
      dial.isTimedOut = true;
      socket.destroy();
    }, limits.connectTimeoutMs);
    const dial: Dial = { socket, waiting: [], timer, isTimedOut: false, fault: undefined };
    this.#dials.set(key, dial);
    const failed = (): void => this.#failed(key, dial);
    const noteFault = (error: NodeJS.ErrnoException): void => {
      dial.fault ??= error;
    };
    // The connection that is made of it counts its own; below TLS nobody else listens.
    for (const part of new Set([tcp, socket])) part.on('error', noteFault);
    socket.once('close', failed);
    socket.once(socket === tcp ? 'connect' : 'secureConnect', () => {
      socket.off('close', failed);
      clearTimeout(timer);
      this.#dials.delete(key);
      counters.count('sip_dials', 'opened');
      const connection = kept(socket);
      for (const { message, failed } of dial.waiting.splice(0))
        if (!connection.send(message)) failed();
    });
    return dial;
  }

  #failed(key: string, dial: Dial): void {
    clearTimeout(dial.timer);
    this.#dials.delete(key);
    if (this.#isStopped) return;
    this.#context.counters.count('sip_dials', failureReason(dial));
    for (const { failed } of dial.waiting) failed();
  }
}

function secure(listener: StreamListener, target: DialTarget, tcp: Socket): TLSSocket {
  const { serverName } = target;
  return connectTls({
    socket: tcp,
    ...(listener.credentials === undefined ? {} : { secureContext: listener.credentials.dialling }),
    // RFC 6066 section 3: addresses are no server names.
    servername: isIP(serverName) === 0 ? serverName : '',
    rejectUnauthorized: true,
    checkServerIdentity: (_name, certificate) => checkSipServer(serverName, certificate),
  });
}

function failureReason(dial: Dial): string {
  if (dial.isTimedOut) return 'timeout';
  if (dial.fault?.code === 'ECONNREFUSED') return 'refused';
  return (dial.socket as Partial<TLSSocket>).authorizationError ? 'certificate' : 'error';
}
