import { gossipLimits } from '../config/defaults.ts';
import { ByteWindow } from './byte-window.ts';
import {
  decodeMessage,
  decodePushPullHeader,
  decodeRemoteState,
  encodeMessage,
  encodePushPullHeader,
  encodeRemoteState,
  wireType,
  type PushPullHeader,
} from './codec.ts';
import type { Decoded, RemoteState, StreamMessage, WireFault } from './message.ts';
import { measureValue } from './msgpack.ts';

/**
 * The bytes of one stream message. `header` starts only the side that opened the stream. Throws
 * RangeError on user state that no receiver would take.
 */
export function encodeStreamMessage(header: Uint8Array, message: StreamMessage): Uint8Array {
  if (message.kind !== 'pushPull') return Buffer.concat([header, encodeMessage(message)]);
  const { states, join, userState } = message;
  if (userState.length > gossipLimits.userStateBytesMax) {
    throw new RangeError(`user state is larger than ${gossipLimits.userStateBytesMax} bytes`);
  }
  return Buffer.concat([
    header,
    Uint8Array.of(wireType.pushPull),
    encodePushPullHeader({ nodes: states.length, userStateLen: userState.length, join }),
    ...states.map(encodeRemoteState),
    userState,
  ]);
}

type Phase = 'type' | 'message' | 'header' | 'states' | 'userState' | 'done';

/**
 * Reads the one message that a side of a stream says in plain text, in whatever pieces it arrives. Keeps
 * at most one unread element, the states read so far and user state up to its limit.
 */
export class StreamMessageDecoder {
  readonly #unread = new ByteWindow();
  #phase: Phase = 'type';
  #type = 0;
  #header: PushPullHeader = { nodes: 0, userStateLen: 0, join: false };
  #states: RemoteState[] = [];
  #message: StreamMessage | undefined;

  /** Takes the next bytes. `value` stays undefined until the message is whole; then it stays that. */
  push(bytes: Uint8Array): Decoded<StreamMessage | undefined> {
    this.#unread.append(bytes);
    for (;;) {
      const step = this.#step();
      if (step === 'wait') return { ok: true, value: this.#message };
      if (step !== 'again') return { ok: false, fault: step };
    }
  }

  #step(): 'again' | 'wait' | WireFault {
    switch (this.#phase) {
      case 'type':
        return this.#readType();
      case 'message':
        return this.#readElement((body) => this.#takeMessage(body));
      case 'header':
        return this.#readElement((body) => this.#takeHeader(body));
      case 'states':
        return this.#readState();
      case 'userState':
        return this.#readUserState();
      case 'done':
        this.#unread.clear();
        return 'wait';
    }
  }

  #readType(): 'again' | 'wait' | WireFault {
    const type = this.#unread.view()[0];
    if (type === undefined) return 'wait';
    this.#unread.skip(1);
    this.#type = type;
    if (type === wireType.pushPull) this.#phase = 'header';
    else if (type === wireType.ping || type === wireType.ack || type === wireType.error) {
      this.#phase = 'message';
    } else return 'unsupported';
    return 'again';
  }

  #readElement(take: (body: Uint8Array) => WireFault | undefined): 'again' | 'wait' | WireFault {
    const unread = this.#unread.view();
    const end = measureValue(unread, 0);
    if (end === 'malformed') return 'malformed';
    const length = end === 'incomplete' ? unread.length : end;
    if (length > gossipLimits.elementBytesMax) return 'too-large';
    if (end === 'incomplete') return 'wait';
    this.#unread.skip(end);
    return take(unread.subarray(0, end)) ?? 'again';
  }

  #takeMessage(body: Uint8Array): WireFault | undefined {
    const message = decodeMessage(Buffer.concat([Uint8Array.of(this.#type), body]));
    if (!message.ok) return message.fault;
    const { value } = message;
    if (value.kind !== 'ping' && value.kind !== 'ack' && value.kind !== 'error')
      return 'unsupported';
    this.#finish(value);
    return undefined;
  }

  #takeHeader(body: Uint8Array): WireFault | undefined {
    const header = decodePushPullHeader(body);
    if (!header.ok) return header.fault;
    if (header.value.nodes > gossipLimits.membersMax) return 'too-large';
    if (header.value.userStateLen > gossipLimits.userStateBytesMax) return 'too-large';
    this.#header = header.value;
    this.#phase = 'states';
    return undefined;
  }

  #readState(): 'again' | 'wait' | WireFault {
    if (this.#states.length === this.#header.nodes) {
      this.#phase = 'userState';
      return 'again';
    }
    return this.#readElement((body) => {
      const state = decodeRemoteState(body);
      if (!state.ok) return state.fault;
      this.#states.push(state.value);
      return undefined;
    });
  }

  #readUserState(): 'again' | 'wait' {
    const { join, userStateLen } = this.#header;
    if (this.#unread.length < userStateLen) return 'wait';
    // A copy: the window's memory holds more than that.
    const userState = this.#unread.view().slice(0, userStateLen);
    this.#finish({ kind: 'pushPull', join, states: this.#states, userState });
    return 'again';
  }

  #finish(message: StreamMessage): void {
    this.#message = message;
    this.#phase = 'done';
  }
}
