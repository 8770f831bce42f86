import { NetworkSet, parseAddress } from '../../pipeline/network.ts';
import type { Handshake } from './handshake.ts';
import { readProxyHeader, type ProxyHeader } from './proxy-header.ts';

export interface ProxyGateEvents {
  failed(reason: 'proxy-header'): void;
  passed(handshake: Handshake): void;
}

/**
 * Takes the PROXY header off connections of the sprayer. What follows it is given back to the
 * socket, which is left paused. A listener that expects headers serves nobody else: whoever could
 * connect past the sprayer could otherwise name any source.
 */
export class ProxyGate {
  readonly #sources: NetworkSet;
  readonly #events: ProxyGateEvents;

  /** @param sources addresses and networks of the sprayers */
  constructor(sources: readonly string[], events: ProxyGateEvents) {
    this.#sources = new NetworkSet(sources);
    this.#events = events;
  }

  /** Whether a connection from here is a sprayer's. */
  expects(address: string): boolean {
    const groups = parseAddress(address);
    return groups !== undefined && this.#sources.has(groups);
  }

  take(handshake: Handshake): void {
    const { socket } = handshake;
    let bytes: Buffer = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      const header = readProxyHeader(bytes);
      if (header.kind === 'incomplete') return;
      socket.off('data', read);
      socket.off('end', ended);
      socket.pause();
      this.#done(handshake, header, bytes);
    };
    const ended = (): void => this.#done(handshake, { kind: 'invalid' }, bytes);
    socket.on('data', read);
    socket.on('end', ended);
  }

  #done(handshake: Handshake, header: ProxyHeader, bytes: Buffer): void {
    if (header.kind !== 'header') {
      this.#events.failed('proxy-header');
      handshake.socket.destroy();
      return;
    }
    // Without a source the sprayer speaks for itself, e.g. to see whether we live.
    if (header.source !== undefined) {
      handshake.address = header.source.address;
      handshake.port = header.source.port;
    }
    if (bytes.length > header.length) handshake.socket.unshift(bytes.subarray(header.length));
    this.#events.passed(handshake);
  }
}
