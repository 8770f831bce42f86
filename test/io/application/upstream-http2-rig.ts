import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import {
  HeaderBlock,
  type HeaderList,
  noBody,
  type RequestHead,
  type RequestReceiver,
  type ResetCode,
  type ResponseHead,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import type { UpstreamHttp2Limits } from '../../../src/io/application/upstream-http2-session.ts';
import { UpstreamHttp2 } from '../../../src/io/application/upstream-http2.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { Envelope } from '../../../src/pipeline/envelope.ts';
import { startRawOrigin, upstreamConfig, type UpstreamOverrides } from '../http/http-rig.ts';
import { Inbox } from '../sip/sip-rig.ts';

/** Counters that tell a test what they count, so that it can wait for it. */
class WatchedCounters extends Counters {
  readonly counted: Inbox<string> = new Inbox<string>();

  override count(name: string, reason: string, by = 1): void {
    super.count(name, reason, by);
    this.counted.put(reason);
  }
}

export interface Http2RigOptions extends UpstreamOverrides {
  readonly limits?: Partial<UpstreamHttp2Limits>;
}

export const envelope: Envelope = {
  keyDigest: 'k'.repeat(22),
  instance: 'p1',
  reason: 'rule',
  ringVersion: '',
  ingressPeer: 'p1',
  hop: 0,
  transaction: '',
};

/** A GET of `/` unless told otherwise. */
export function requestOf(
  request: Partial<Omit<RequestHead, 'headers'>> & { readonly headers?: HeaderList } = {},
): RequestHead {
  return {
    method: 'GET',
    target: '/',
    framing: noBody,
    ...request,
    headers: HeaderBlock.of(request.headers ?? [['Host', 'shop:81']]),
  };
}

/** Asks, and notes what is answered. */
export class Asker implements ResponseReceiver {
  readonly heads: ResponseHead[] = [];
  readonly body: Buffer[] = [];
  bytes = 0;
  trailers: HeaderList | undefined;
  code: ResetCode | undefined;
  /** Request body is to pause. */
  isPaused = false;
  pauses = 0;
  request!: RequestReceiver;
  keepsBody = true;
  /** The final head has come, or none will. */
  readonly headed: Promise<void>;
  readonly over: Promise<this>;
  #headed!: () => void;
  #over!: (asker: this) => void;
  #resumed: (() => void)[] = [];
  onData: (chunk: Uint8Array) => void = () => undefined;

  constructor() {
    this.headed = new Promise((resolve) => (this.#headed = resolve));
    this.over = new Promise((resolve) => (this.#over = resolve));
  }

  get status(): number | undefined {
    return this.heads.at(-1)?.status;
  }

  get text(): string {
    return Buffer.concat(this.body).toString();
  }

  head(head: ResponseHead): void {
    this.heads.push(head);
    if (head.status >= 200) this.#headed();
  }

  data(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.keepsBody) this.body.push(Buffer.from(chunk));
    this.onData(chunk);
  }

  end(trailers: HeaderList): void {
    if (this.trailers !== undefined || this.code !== undefined) throw new Error('ended twice');
    this.trailers = trailers;
    this.#over(this);
  }

  reset(code: ResetCode): void {
    if (this.trailers !== undefined || this.code !== undefined) throw new Error('ended twice');
    this.code = code;
    this.#headed();
    this.#over(this);
  }

  pause(): void {
    this.isPaused = true;
    this.pauses++;
  }

  resume(): void {
    this.isPaused = false;
    for (const resumed of this.#resumed.splice(0)) resumed();
  }

  /** Waits until the body may go on. */
  async ready(): Promise<void> {
    if (this.isPaused) await new Promise<void>((resolve) => this.#resumed.push(resolve));
  }
}

/** An upstream HTTP/2 server as the peer sees it, stopped with the test. */
export class Http2Rig {
  readonly counters: WatchedCounters = new WatchedCounters();
  readonly logged: { message: string; details: object }[] = [];
  readonly upstream: UpstreamHttp2;

  constructor(t: TestContext, port: number, options: Http2RigOptions = {}) {
    const { limits, sweepIntervalMs = 5, ...overrides } = options;
    this.upstream = new UpstreamHttp2({
      config: upstreamConfig(port, { protocol: 'http2', ...overrides }),
      counters: this.counters,
      log: { warn: (details, message) => this.logged.push({ details, message }) },
      sweepIntervalMs,
      ...(limits === undefined ? {} : { limits }),
    });
    t.after(() => this.upstream.stop());
  }

  /** Sends a head; the body is the test's, except that there is none when the head says so. */
  ask(request: RequestHead = requestOf()): Asker {
    const asker = new Asker();
    asker.request = this.upstream.serve(request, envelope, asker);
    if (request.framing.kind === 'none') asker.request.end([]);
    return asker;
  }

  count(reason: string): number {
    return this.counters.get('http_upstream', reason);
  }

  /** Waits until this has been counted. */
  async counted(reason: string): Promise<void> {
    while ((await this.counters.counted.take()) !== reason);
  }
}

/** A `node:http2` server as upstream application, with what it has at the moment. */
export class Http2Origin {
  readonly server: Http2Server;
  readonly sessions: ServerHttp2Session[] = [];
  readonly opened: Inbox<ServerHttp2Session> = new Inbox<ServerHttp2Session>();
  streams = 0;
  streamsMost = 0;
  #emptied: (() => void)[] = [];

  constructor(
    onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
    options: ServerOptions,
  ) {
    this.server = createServer(options);
    this.server.on('session', (session) => {
      this.sessions.push(session);
      this.opened.put(session);
      session.on('error', () => undefined);
    });
    this.server.on('stream', (stream, headers) => {
      this.streams++;
      this.streamsMost = Math.max(this.streams, this.streamsMost);
      stream.on('error', () => undefined);
      stream.on('close', () => {
        if (--this.streams === 0) for (const done of this.#emptied.splice(0)) done();
      });
      onStream(stream, headers);
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Waits until no stream is left. */
  async empty(): Promise<void> {
    if (this.streams > 0) await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }
}

export async function startHttp2Origin(
  t: TestContext,
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  options: ServerOptions = {},
): Promise<Http2Origin> {
  const origin = new Http2Origin(onStream, options);
  await new Promise<void>((resolve) => origin.server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const session of origin.sessions) session.destroy();
    await new Promise((resolve) => origin.server.close(resolve));
  });
  return origin;
}

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** One HTTP/2 connection as bytes, for what `node:http2` would never send. */
export class RawHttp2 {
  readonly frames: Inbox<Frame> = new Inbox<Frame>();
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #isBegun = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    // RFC 9113 section 3.4: an empty SETTINGS, and the acknowledgement of the client's.
    this.send(4, 0, 0);
    this.send(4, 1, 0);
    socket.on('data', (bytes: Buffer) => {
      this.#read(bytes);
    });
  }

  send(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([head, payload]));
  }

  /** HEADERS with `:status: 200` alone, which ends nothing. */
  ok(stream: number): void {
    this.send(1, 4, stream, Buffer.of(0x88));
  }

  data(stream: number, text: string, isEnd = false): void {
    this.send(0, isEnd ? 1 : 0, stream, Buffer.from(text));
  }

  reset(stream: number, code: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(code);
    this.send(3, 0, stream, payload);
  }

  /** The next frame of that type. */
  async next(type: number): Promise<Frame> {
    for (;;) {
      const frame = await this.frames.take();
      if (frame.type === type) return frame;
    }
  }

  #read(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    if (!this.#isBegun) {
      if (this.#bytes.length < preface.length) return;
      this.#isBegun = true;
      this.#bytes = this.#bytes.subarray(preface.length);
    }
    while (this.#bytes.length >= 9) {
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < 9 + length) return;
      this.frames.put({
        type: this.#bytes.readUInt8(3),
        flags: this.#bytes.readUInt8(4),
        stream: this.#bytes.readUInt32BE(5),
        payload: this.#bytes.subarray(9, 9 + length),
      });
      this.#bytes = this.#bytes.subarray(9 + length);
    }
  }
}

/** A server of raw frames as upstream application. */
export async function startRawHttp2(
  t: TestContext,
): Promise<{ port: number; opened: Inbox<RawHttp2> }> {
  const opened = new Inbox<RawHttp2>();
  const port = await startRawOrigin(t, (socket) => opened.put(new RawHttp2(socket)));
  return { port, opened };
}
