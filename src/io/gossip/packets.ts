import type { RemoteInfo, Socket } from 'node:dgram';
import { canonicalAddress, type Endpoint, type SwimInput } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Border } from './border.ts';

export interface GossipPacketsOptions {
  /** Bound; whoever bound it closes it. */
  readonly socket: Socket;
  readonly isIPv6: boolean;
  readonly border: Border;
  readonly counters: Counters;
  readonly onInput: (input: SwimInput) => void;
  readonly onError: (error: Error) => void;
}

/** The packets of gossip: what the border lets in goes to the machine, what the machine sends goes out sealed. */
export class GossipPackets {
  readonly #options: GossipPacketsOptions;

  constructor(options: GossipPacketsOptions) {
    this.#options = options;
    options.socket.on('message', (bytes, from) => {
      this.#take(bytes, from);
    });
    options.socket.on('error', options.onError);
  }

  send(to: Endpoint, bytes: Uint8Array): void {
    const { socket, isIPv6, border, counters } = this.#options;
    // A socket for both families takes IPv4 only as IPv4-mapped.
    const isMapped = isIPv6 && !to.address.includes(':');
    const address = isMapped ? `::ffff:${to.address}` : to.address;
    socket.send(border.sealPacket(bytes), to.port, address, (error) => {
      if (error !== null) counters.count('gossip_drops', 'send-failed');
    });
  }

  #take(bytes: Uint8Array, from: RemoteInfo): void {
    const { border, onInput } = this.#options;
    const address = canonicalAddress(from.address) ?? from.address;
    const opened = border.openPacket(bytes, from.address);
    if (opened === undefined) return;
    onInput({ kind: 'packet', bytes: opened, from: { address, port: from.port } });
  }
}
