import type { Counters } from '../../pipeline/counters.ts';
import { NetworkSet, parseAddress } from '../../pipeline/network.ts';
import type { Handshake } from './handshake.ts';
import { readProxyHeader, type ProxyHeader } from './proxy-header.ts';

/**
 * Takes the PROXY header off connections of the sprayer. What follows it is given back to the
 * socket, which is left paused. A listener that expects headers serves nobody else: whoever could
 * connect past the sprayer could otherwise name any source.
 */
export class ProxyGate {
  readonly #sources: NetworkSet;
  readonly #counters: Counters;
  readonly #passed: (handshake: Handshake) => void;

  /** @param sources addresses and networks of the sprayers */
  constructor(
    sources: readonly string[],
    counters: Counters,
    passed: (handshake: Handshake) => void,
  ) {
    this.#sources = new NetworkSet(sources);
    this.#counters = counters;
    this.#passed = passed;
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
      socket.pause();
      this.#done(handshake, header, bytes);
    };
    socket.on('data', read);
  }

  #done(handshake: Handshake, header: ProxyHeader, bytes: Buffer): void {
    if (header.kind !== 'header') {
      this.#counters.count('sip_handshake_failures', 'proxy-header');
      handshake.socket.destroy();
      return;
    }
    // Without a source the sprayer speaks for itself, e.g. to see whether we live.
    if (header.source !== undefined) {
      handshake.address = header.source.address;
      handshake.port = header.source.port;
    }
    if (bytes.length > header.length) handshake.socket.unshift(bytes.subarray(header.length));
    this.#passed(handshake);
  }
}
