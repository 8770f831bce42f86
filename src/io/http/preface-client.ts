import type { Socket } from 'node:net';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import { type HttpClient, lose, type OpenClient } from './client.ts';
import { ConnectionClock } from './connection-clock.ts';
import type { ListenerContext } from './listener-context.ts';

/** What clients of HTTP/2 begin with (RFC 9113 section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * Tells by the first bytes of a connection whether it is HTTP/2: the first one that differs from its
 * preface makes it HTTP/1.1. No request of HTTP/1.1 begins like that.
 */
export function openByPreface(http1: OpenClient, http2: OpenClient): OpenClient {
  return (socket, remote, context) => new PrefaceClient(socket, remote, context, http1, http2);
}

/** A client in clear text that has not said yet what it speaks, and what became of it. */
class PrefaceClient implements HttpClient {
  readonly #socket: Socket;
  readonly #context: ListenerContext;
  readonly #clock: ConnectionClock;
  #bytes: Buffer = Buffer.alloc(0);
  #client: HttpClient | undefined;

  constructor(
    socket: Socket,
    remote: HttpRemote,
    context: ListenerContext,
    http1: OpenClient,
    http2: OpenClient,
  ) {
    this.#socket = socket;
    this.#context = context;
    this.#clock = new ConnectionClock(context);
    this.#clock.set('idle');
    const open = (opener: OpenClient): void => {
      socket.off('data', read);
      socket.off('end', ended);
      socket.pause();
      socket.unshift(this.#bytes);
      this.#bytes = Buffer.alloc(0);
      this.#client = opener(socket, remote, context);
      if (context.isDraining) this.#client.drain();
    };
    const read = (chunk: Buffer): void => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      try {
        const isHttp2 = beginsWithPreface(this.#bytes);
        if (isHttp2 === undefined) this.#clock.set('head');
        else open(isHttp2 ? http2 : http1);
      } catch (error) {
        lose(this, context, error);
      }
    };
    const ended = (): void => this.destroy();
    socket.on('data', read);
    socket.on('end', ended);
    socket.resume();
  }

  get bufferedBytes(): number {
    return this.#client?.bufferedBytes ?? this.#bytes.length;
  }

  sweep(): void {
    if (this.#client !== undefined) return this.#client.sweep();
    const expired = this.#clock.expired(0);
    if (expired === undefined) return;
    this.#context.counters.count('http_timeouts', expired);
    this.destroy();
  }

  drain(): void {
    this.#client?.drain();
  }

  stop(): void {
    if (this.#client === undefined) this.destroy();
    else this.#client.stop();
  }

  destroy(): void {
    if (this.#client === undefined) this.#socket.destroy();
    else this.#client.destroy();
  }

  closed(): void {
    this.#client?.closed();
  }

  defect(): void {
    if (this.#client === undefined) this.#socket.destroy();
    else this.#client.defect();
  }
}

/** Undefined: there is too little to say. */
function beginsWithPreface(bytes: Buffer): boolean | undefined {
  const length = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return false;
  return length === preface.length ? true : undefined;
}
