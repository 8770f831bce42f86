import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** Types of frames (RFC 9113 section 6). */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export type FrameType = keyof typeof frameTypes;

export const endStream = 0x1;
/** Of SETTINGS and PING. */
export const ack = 0x1;
export const endHeaders = 0x4;

/** Error codes (RFC 9113 section 7). */
export const errorCodes = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

const names = Object.keys(frameTypes) as FrameType[];

/** What every client of HTTP/2 begins with (RFC 9113 section 3.4), SETTINGS apart. */
export const preface: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export interface Frame {
  readonly type: FrameType | 'unknown';
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Bytes of one frame, whatever it says. */
export function frame(
  type: FrameType | number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = typeof type === 'number' ? type : frameTypes[type];
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, 9);
  return bytes;
}

export type FieldLines = readonly (readonly [name: string, value: string])[];

/** A field section of literals without indexing and without Huffman coding (RFC 7541 section 6.2.2). */
export function fieldSection(lines: FieldLines): Buffer {
  return Buffer.concat(
    lines.flatMap(([name, value]) => [Buffer.of(0), stringLiteral(name), stringLiteral(value)]),
  );
}

function stringLiteral(latin1: string): Buffer {
  const bytes = Buffer.from(latin1, 'latin1');
  const length: number[] = [];
  if (bytes.length < 127) {
    length.push(bytes.length);
  } else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** A whole field section in one frame. */
export function headers(stream: number, lines: FieldLines, flags: number = endStream): Buffer {
  return frame('headers', endHeaders | flags, stream, fieldSection(lines));
}

export function data(stream: number, body: string | Uint8Array, flags = 0): Buffer {
  return frame('data', flags, stream, typeof body === 'string' ? Buffer.from(body) : body);
}

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function reset(stream: number, code: number = errorCodes.cancel): Buffer {
  return frame('reset', 0, stream, number32(code));
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  return frame('windowUpdate', 0, stream, number32(bytes));
}

/** @param values identifiers and values (RFC 9113 section 6.5.2) */
export function settings(...values: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(6 * values.length);
  values.forEach(([identifier, value], index) => {
    payload.writeUInt16BE(identifier, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  });
  return frame('settings', 0, 0, payload);
}

export const initialWindowSize = 4;

/** A request as browsers begin it; more lines behind. */
export function get(path = '/', ...more: FieldLines): FieldLines {
  return [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':authority', 'a.example.org'],
    [':path', path],
    ...more,
  ];
}

export function post(...more: FieldLines): FieldLines {
  return [[':method', 'POST'], ...get().slice(1), ...more];
}

/** Error code of RST_STREAM or GOAWAY. */
export function codeOf(one: Frame): number {
  return one.payload.readUInt32BE(one.type === 'goaway' ? 4 : 0);
}

/** A client that writes frames as they are, and sees what comes back. */
export class FrameClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  isClosed = false;
  #bytes: Buffer = Buffer.alloc(0);
  readonly #waiting = new Set<() => void>();

  /** @param to a port of this machine, or a connection that is there */
  constructor(t: TestContext, to: number | Socket, first: Uint8Array = settings()) {
    this.socket =
      typeof to === 'number' ? connect({ host: '127.0.0.1', port: to, noDelay: true }) : to;
    this.socket.on('error', () => undefined);
    this.socket.on('data', (bytes) => {
      this.#take(bytes);
      this.#wake();
    });
    this.socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
    t.after(() => {
      this.socket.destroy();
    });
    this.send(preface, first);
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** The frames of one stream so far, as text: type, and `.` where it ends the stream. */
  shape(stream: number): string {
    return this.frames
      .filter((one) => one.stream === stream && one.type !== 'windowUpdate')
      .map((one) => {
        const mayEnd = one.type === 'headers' || one.type === 'data';
        return mayEnd && (one.flags & endStream) !== 0 ? `${one.type}.` : one.type;
      })
      .join(' ');
  }

  /** The body of one response so far. */
  body(stream: number): Buffer {
    const pieces = this.frames.filter((one) => one.stream === stream && one.type === 'data');
    return Buffer.concat(pieces.map((one) => one.payload));
  }

  /** The first frame of a type, on a stream or on the connection; waits for it. */
  async first(type: FrameType, stream = 0): Promise<Frame> {
    const find = (): Frame | undefined =>
      this.frames.find((one) => one.type === type && one.stream === stream);
    await this.until(() => find() !== undefined);
    return find()!;
  }

  /** Waits for the end of a stream, in either way. @returns its shape */
  async ended(stream: number): Promise<string> {
    await this.until(() => /\.$|reset$/.test(this.shape(stream)));
    return this.shape(stream);
  }

  /** Waits until this PING is answered: what was sent before has been looked at. */
  async ping(mark = 'ping-pong'): Promise<void> {
    const payload = Buffer.alloc(8, mark);
    this.send(frame('ping', 0, 0, payload));
    await this.until(() =>
      this.frames.some(
        (one) => one.type === 'ping' && one.flags === ack && one.payload.equals(payload),
      ),
    );
  }

  async closed(): Promise<void> {
    await this.until(() => this.isClosed);
  }

  /** Waits until something is so. Rejects when the connection closes before. */
  async until(isSo: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        const isDone = isSo();
        if (!isDone && !this.isClosed) return;
        this.#waiting.delete(check);
        if (isDone) resolve();
        else reject(new Error(`Closed after ${this.#all()}`));
      };
      this.#waiting.add(check);
      check();
    });
  }

  #all(): string {
    return this.frames.map((one) => `${one.type}/${one.stream}`).join(' ');
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }

  #take(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      if (this.#bytes.length < 9) return;
      const end = 9 + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < end) return;
      const one: Frame = {
        type: names[this.#bytes[3]!] ?? 'unknown',
        flags: this.#bytes[4]!,
        stream: this.#bytes.readUInt32BE(5) & 0x7fff_ffff,
        payload: this.#bytes.subarray(9, end),
      };
      this.#bytes = this.#bytes.subarray(end);
      this.frames.push(one);
      if (one.type === 'settings' && one.flags === 0) this.send(frame('settings', ack, 0));
    }
  }
}
