import { gossipLimits } from '../config/defaults.ts';
import { wireType } from './codec.ts';
import { sealBytes, type Keyring } from './keyring.ts';
import type { Decoded } from './message.ts';
import { checkLabel, labelHeader } from './packet.ts';
import { StreamDecoder } from './stream-decoder.ts';

/** Bytes of the type and the length that stand before an encrypted stream message. */
export const sealedStreamHead = 5;

/**
 * The border between what the machine says and what the network carries: with keys, everything that
 * leaves is encrypted and only what one of them opens comes in; without keys all passes as it is. The
 * label stands in front in clear and is bound to what follows: no other cluster with the same key
 * takes it.
 */
export class Seal {
  readonly #header: Uint8Array;
  readonly #label: Uint8Array;
  readonly #keyring: Keyring | undefined;
  readonly #nonce: () => Uint8Array;

  /**
   * @param label name of the cluster, '' for none
   * @param nonce 12 random bytes each time
   */
  constructor(label: string, keyring: Keyring | undefined, nonce: () => Uint8Array) {
    this.#header = labelHeader(label);
    this.#label = Buffer.from(label, 'utf8');
    this.#keyring = keyring;
    this.#nonce = nonce;
  }

  /** What {@link Seal.sealPacket} adds. */
  get packetOverheadBytes(): number {
    return this.#keyring === undefined ? 0 : sealBytes;
  }

  /** A packet as the machine made it, label first, as the network gets it. */
  sealPacket(packet: Uint8Array): Uint8Array {
    if (this.#keyring === undefined) return packet;
    const body = packet.subarray(this.#header.length);
    return this.#labelled(this.#keyring.seal(this.#nonce(), body, this.#label));
  }

  /** A packet as the network brought it, as the machine reads it. */
  openPacket(packet: Uint8Array): Decoded<Uint8Array> {
    if (packet.length > gossipLimits.receivedPacketBytesMax) {
      return { ok: false, fault: 'too-large' };
    }
    const labelFault = checkLabel(packet, this.#header);
    if (labelFault !== undefined) return { ok: false, fault: labelFault };
    if (this.#keyring === undefined) return { ok: true, value: packet };
    const opened = this.#keyring.open(packet.subarray(this.#header.length), this.#label);
    return opened.ok ? { ok: true, value: this.#labelled(opened.value) } : opened;
  }

  /**
   * What one side of a stream says, as the network gets it.
   *
   * @param bytes as the machine made them: with the label first on a stream that we opened
   */
  sealStream(bytes: Uint8Array, side: 'opened' | 'accepted'): Uint8Array {
    if (this.#keyring === undefined) return bytes;
    const body = side === 'opened' ? bytes.subarray(this.#header.length) : bytes;
    const head = Buffer.alloc(sealedStreamHead);
    head[0] = wireType.encrypted;
    head.writeUInt32BE(body.length + sealBytes, 1);
    const bound = Buffer.concat([head, this.#label]);
    const sealed = Buffer.concat([head, this.#keyring.seal(this.#nonce(), body, bound)]);
    return side === 'opened' ? this.#labelled(sealed) : sealed;
  }

  /** Reads the other side of a stream. */
  streamDecoder(side: 'opened' | 'accepted'): StreamDecoder {
    return new StreamDecoder(this.#header, side, this.#keyring);
  }

  #labelled(body: Uint8Array): Uint8Array {
    return this.#header.length === 0 ? body : Buffer.concat([this.#header, body]);
  }
}
