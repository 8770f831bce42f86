import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { formatHostPort, parseHostPort } from '../../config/address.ts';
import { sprayerLimits } from '../../config/defaults.ts';
import type { Candidate } from './rotation.ts';

/** An address that connections and datagrams go to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** `host:port`, as a datagram's source is written too. */
  readonly text: string;
}

/** @throws TypeError when the text is not ip:port */
export function parseEndpoint(text: string): Endpoint {
  const parsed = parseHostPort(text);
  if (parsed === undefined || isIP(parsed.host) === 0) throw new TypeError(`not ip:port: ${text}`);
  return { ...parsed, text: formatHostPort(parsed.host, parsed.port) };
}

/**
 * One peer that the sprayer sends to. It knows whether the peer lives by one idle TCP connection to
 * its SIP port: the kernel closes it at the moment the process dies, and a refused connection tells
 * that nobody listens. Nothing is sent over it.
 */
export class Target implements Candidate {
  readonly sip: Endpoint;
  readonly http: Endpoint;
  #isAlive = true;
  #watch: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(sip: string, http: string) {
    this.sip = parseEndpoint(sip);
    this.http = parseEndpoint(http);
  }

  /** True until a connection was refused, and again as soon as one succeeds. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  start(): void {
    this.#isStopped = false;
    this.#connect(false);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    this.#watch?.destroy();
  }

  /** @param wasShort the connection before this one ended soon after it began */
  #connect(wasShort: boolean): void {
    const startedAtMs = performance.now();
    const socket = connect({ host: this.sip.host, port: this.sip.port });
    let isConnected = false;
    this.#watch = socket;
    socket.setTimeout(sprayerLimits.connectTimeoutMs, () => socket.destroy());
    socket.on('connect', () => {
      isConnected = true;
      this.#isAlive = true;
      socket.setTimeout(0);
    });
    socket.resume();
    socket.on('error', () => {
      // 'close' follows and decides.
    });
    socket.on('close', () => {
      if (this.#isStopped) return;
      if (!isConnected) this.#isAlive = false;
      // At once after a connection ended, so that a death is known within a millisecond; but a peer
      // that takes connections only to close them is not asked without end.
      const isShort = performance.now() - startedAtMs < sprayerLimits.watchIntervalMs;
      if (isConnected && !(isShort && wasShort)) this.#connect(isShort);
      else
        this.#retry = setTimeout(() => {
          this.#connect(false);
        }, sprayerLimits.watchIntervalMs);
    });
  }
}
