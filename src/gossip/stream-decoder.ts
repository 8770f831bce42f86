import { gossipLimits } from '../config/defaults.ts';
import { ByteWindow } from './byte-window.ts';
import { wireType } from './codec.ts';
import { expand, measureCompressed } from './compression.ts';
import { sealBytes, type Keyring } from './keyring.ts';
import type { Decoded, StreamMessage, WireFault } from './message.ts';
import { StreamMessageDecoder } from './stream-codec.ts';

/** What stands around the message of a stream, outermost first. */
type Layer = 'label' | 'outermost' | 'sealed' | 'compressed' | 'message';

const lengthBytes = 4;

/**
 * Reads the one message that each side of a stream sends, in whatever pieces it arrives: takes off the
 * label, the encryption and the compression. Of what is encrypted or compressed it keeps all bytes, for
 * nothing can be read before the last one is there; how many they may be is looked at first.
 */
export class StreamDecoder {
  readonly #label: Uint8Array;
  readonly #keyring: Keyring | undefined;
  readonly #unread = new ByteWindow();
  readonly #message = new StreamMessageDecoder();
  #layer: Layer;

  /**
   * @param header the cluster's label header; the answer on a stream that we opened carries none
   * @param keyring with one, only an encrypted stream is read; without, only a plain one
   */
  constructor(header: Uint8Array, side: 'opened' | 'accepted', keyring?: Keyring) {
    this.#label = header;
    this.#keyring = keyring;
    this.#layer = side === 'accepted' ? 'label' : 'outermost';
  }

  /** Takes the next bytes. `value` stays undefined until the message is whole; then it stays that. */
  push(bytes: Uint8Array): Decoded<StreamMessage | undefined> {
    if (this.#layer === 'message') return this.#message.push(bytes);
    this.#unread.append(bytes);
    for (;;) {
      const step = this.#step();
      if (step === 'again') continue;
      if (step === 'wait') return { ok: true, value: undefined };
      return typeof step === 'string' ? { ok: false, fault: step } : step;
    }
  }

  #step(): 'again' | 'wait' | WireFault | Decoded<StreamMessage | undefined> {
    switch (this.#layer) {
      case 'label':
        return this.#readLabel();
      case 'outermost':
        return this.#readOutermost();
      case 'sealed':
        return this.#readSealed();
      case 'compressed':
        return this.#readCompressed();
      case 'message': {
        const bytes = this.#unread.view();
        this.#unread.clear();
        return this.#message.push(bytes);
      }
    }
  }

  #readLabel(): 'again' | 'wait' | WireFault {
    const expected = this.#label;
    const unread = this.#unread.view();
    const have = Math.min(expected.length, unread.length);
    for (let i = 0; i < have; i++) {
      if (unread[i] !== expected[i]) return i === 0 ? 'label-missing' : 'label-wrong';
    }
    if (have < expected.length) return 'wait';
    this.#unread.skip(expected.length);
    this.#layer = 'outermost';
    return 'again';
  }

  #readOutermost(): 'again' | 'wait' | WireFault {
    const type = this.#unread.view()[0];
    if (type === undefined) return 'wait';
    if (type === wireType.label) return 'label-unexpected';
    if (this.#keyring !== undefined) {
      if (type !== wireType.encrypted) return 'not-encrypted';
      this.#layer = 'sealed';
    } else if (type === wireType.encrypted) {
      return 'encrypted';
    } else {
      this.#layer = type === wireType.compressed ? 'compressed' : 'message';
    }
    return 'again';
  }

  #readSealed(): 'wait' | WireFault | Decoded<StreamMessage | undefined> {
    const unread = this.#unread.view();
    const head = 1 + lengthBytes;
    if (unread.length < head) return 'wait';
    const length = new DataView(unread.buffer, unread.byteOffset).getUint32(1);
    if (length > gossipLimits.streamBytesMax) return 'too-large';
    if (length <= sealBytes) return 'truncated';
    if (unread.length < head + length) return 'wait';
    const bound = Buffer.concat([unread.subarray(0, head), this.#label.subarray(2)]);
    const opened = this.#keyring!.open(unread.subarray(head, head + length), bound);
    this.#unread.clear();
    if (!opened.ok) return opened.fault;
    const plain = opened.value;
    if (plain[0] === wireType.compressed) return this.#readExpanded(plain.subarray(1));
    return this.#readWhole(plain);
  }

  #readCompressed(): 'wait' | WireFault | Decoded<StreamMessage | undefined> {
    const unread = this.#unread.view();
    const end = measureCompressed(unread, 1);
    if (end === 'malformed') return 'malformed';
    if ((end === 'incomplete' ? unread.length : end) > gossipLimits.streamBytesMax) {
      return 'too-large';
    }
    if (end === 'incomplete') return 'wait';
    this.#unread.clear();
    return this.#readExpanded(unread.subarray(1, end));
  }

  #readExpanded(body: Uint8Array): WireFault | Decoded<StreamMessage | undefined> {
    const expanded = expand(body, gossipLimits.expandedStreamBytesMax);
    return expanded.ok ? this.#readWhole(expanded.value) : expanded.fault;
  }

  /** Reads plain text that no more bytes follow. */
  #readWhole(text: Uint8Array): WireFault | Decoded<StreamMessage | undefined> {
    this.#layer = 'message';
    const message = this.#message.push(text);
    return message.ok && message.value === undefined ? 'truncated' : message;
  }
}
