import type { Socket } from 'node:net';
import { type NetworkSet, networkKey, parseAddress } from '../../pipeline/network.ts';

/** Room for so many connections at one time; each holds its place until it is closed. */
export class Places {
  readonly #max: number;
  readonly #sockets = new Set<Socket>();
  #emptied: (() => void) | undefined;

  constructor(max: number) {
    this.#max = max;
  }

  /** Places taken. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Gives a place until the socket closes. False: all are taken. */
  admit(socket: Socket): boolean {
    if (this.#sockets.size >= this.#max) return false;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#emptied?.();
    });
    return true;
  }

  /** Resolves when no place is taken; what then still has one is cut off after `graceMs`. */
  async empty(graceMs: number): Promise<void> {
    if (this.#sockets.size === 0) return;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    const cutOff = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    await emptied;
    clearTimeout(cutOff);
  }
}

/**
 * Room for so many connections of one source: an IPv4 address, or the /64 that commonly one site has
 * of IPv6.
 */
export class SourcePlaces {
  readonly #max: number;
  readonly #unlimited: NetworkSet;
  readonly #taken = new Map<string, number>();

  /** @param unlimited sources that may have any number */
  constructor(max: number, unlimited: NetworkSet) {
    this.#max = max;
    this.#unlimited = unlimited;
  }

  /** Gives a place until the socket closes. False: all of the source are taken. */
  admit(socket: Socket, address: string): boolean {
    const groups = parseAddress(address);
    // What the system or a PROXY header gave is an address.
    if (groups === undefined || this.#unlimited.has(groups)) return true;
    const source = networkKey(groups, groups.length === 2 ? 32 : 64);
    const taken = this.#taken.get(source) ?? 0;
    if (taken >= this.#max) return false;
    this.#taken.set(source, taken + 1);
    socket.once('close', () => {
      const left = (this.#taken.get(source) ?? 1) - 1;
      if (left === 0) this.#taken.delete(source);
      else this.#taken.set(source, left);
    });
    return true;
  }
}
