import type {
  HeaderList,
  RequestReceiver,
  ResetCode,
  ResponseHead,
  ResponseReceiver,
} from '../../http/index.ts';
import type { HttpBodyFrame, HttpDataFrame } from './frame.ts';
import type { LinkLimits } from './options.ts';
import type { Outbox } from './outbox.ts';

const noBytes = new Uint8Array(0);

/** What an exchange needs of the lane that it runs on. */
export interface ExchangeHost {
  readonly outbox: Outbox;
  readonly limits: LinkLimits;
  /** Body bytes were sent or received. */
  passed(bytes: number): void;
  /** Asks for a call of `proceed` when the lane takes bodies again. */
  stalled(exchange: Exchange): void;
  closed(exchange: Exchange): void;
}

/**
 * One side of one exchange: it takes the body of its own side, which it sends as the peer's credit
 * allows, and hands the peer's body to its own side, giving credit as that is accepted.
 *
 * Own side is the client's listener at the asking peer, the application at the serving one.
 */
export class Exchange implements RequestReceiver {
  readonly id: number;
  protected readonly host: ExchangeHost;
  #own: RequestReceiver | undefined;
  #isClosed = false;

  // What own side sends.
  #credit: number;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isOwnPaused = false;
  #hasOwnEnded = false;
  #isEndSent = false;
  #trailers: HeaderList = [];
  #last: HttpBodyFrame | undefined;
  #lastTurn = -1;

  // What the peer sends.
  #window: number;
  #owedBytes = 0;
  #isCreditHeld = false;
  #hasPeerEnded = false;

  constructor(id: number, host: ExchangeHost, credit: number, own?: RequestReceiver) {
    this.id = id;
    this.host = host;
    this.#credit = credit;
    this.#window = host.limits.exchangeWindowBytes;
    this.#own = own;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Body bytes of own side that wait for credit or for the lane. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Names own side where it is known only after the exchange began. */
  attach(own: RequestReceiver): void {
    this.#own = own;
    if (this.#isOwnPaused && !this.#isClosed) own.pause();
  }

  // Calls of own side.

  data(chunk: Uint8Array): void {
    if (this.#isClosed || this.#hasOwnEnded || chunk.length === 0) return;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#drain();
    if (this.#queuedBytes > this.host.limits.exchangeQueueBytesMax) {
      this.abort('limit');
      return;
    }
    if (this.#mustPause() && !this.#isOwnPaused) {
      this.#isOwnPaused = true;
      this.#own?.pause();
    }
  }

  end(trailers: HeaderList): void {
    if (this.#isClosed || this.#hasOwnEnded) return;
    for (const [name, value] of trailers) assertLatin1(name + value);
    this.#hasOwnEnded = true;
    this.#trailers = trailers;
    if (this.#queue.length === 0) this.#sendEnd();
  }

  reset(code: ResetCode): void {
    if (this.#isClosed) return;
    this.host.outbox.post({ kind: 'reset', exchange: this.id, code });
    this.#close();
  }

  pause(): void {
    this.#isCreditHeld = true;
  }

  resume(): void {
    this.#isCreditHeld = false;
    this.#giveCredit(1);
  }

  // Calls of the lane.

  /** Takes the body part of a frame. False: the peer broke the rules of the link. */
  receiveBody(part: Pick<HttpDataFrame, 'data' | 'end' | 'trailers'>): boolean {
    const { data, end, trailers } = part;
    if (this.#hasPeerEnded && (data.length > 0 || end)) return false;
    if (data.length > this.#window) return false;
    if (data.length > 0) {
      this.#window -= data.length;
      this.#owedBytes += data.length;
      this.#own?.data(data);
      this.host.passed(data.length);
      this.#giveCredit(this.host.limits.exchangeWindowBytes / 4);
    }
    if (end && !this.#isClosed) {
      this.#hasPeerEnded = true;
      this.#own?.end(trailers);
      this.#closeWhenDone();
    }
    return true;
  }

  receiveCredit(bytes: number): void {
    this.#credit += bytes;
    this.proceed();
  }

  /** The peer ended the exchange, or the lane is gone. */
  receiveReset(code: ResetCode): void {
    if (this.#isClosed) return;
    this.#close();
    this.#own?.reset(code);
  }

  /** Ends the exchange on both sides. */
  abort(code: ResetCode): void {
    if (this.#isClosed) return;
    this.host.outbox.post({ kind: 'reset', exchange: this.id, code });
    this.receiveReset(code);
  }

  /** Sends on after credit came or the lane drained. */
  proceed(): void {
    if (this.#isClosed) return;
    this.#drain();
    if (this.#queue.length === 0 && this.#hasOwnEnded) this.#sendEnd();
    if (this.#isOwnPaused && !this.isClosed && !this.#mustPause()) {
      this.#isOwnPaused = false;
      if (!this.#hasOwnEnded) this.#own?.resume();
    }
  }

  /** Posts a frame that begins a direction; what follows in the same turn travels in it. */
  protected begin(frame: HttpBodyFrame): void {
    this.#last = frame;
    this.#lastTurn = this.host.outbox.turn;
    this.host.outbox.post(frame);
  }

  #mustPause(): boolean {
    return this.#queue.length > 0 || this.#credit === 0 || this.#isLaneBehind();
  }

  #isLaneBehind(): boolean {
    if (this.host.outbox.takesBodies()) return false;
    this.host.stalled(this);
    return true;
  }

  #drain(): void {
    let sent = 0;
    while (sent < this.#queue.length && this.#credit > 0 && !this.#isLaneBehind()) {
      const chunk = this.#queue[sent]!;
      const size = Math.min(chunk.length, this.#credit, this.host.limits.dataBytesPerFrame);
      this.#credit -= size;
      this.#queuedBytes -= size;
      this.#sendData(size === chunk.length ? chunk : chunk.subarray(0, size));
      if (size === chunk.length) sent += 1;
      else this.#queue[sent] = chunk.subarray(size);
    }
    if (sent > 0) this.#queue.splice(0, sent);
  }

  /** The last frame, while it has not been written. */
  #open(): HttpBodyFrame | undefined {
    return this.#lastTurn === this.host.outbox.turn ? this.#last : undefined;
  }

  #sendData(data: Uint8Array): void {
    this.host.passed(data.length);
    const open = this.#open();
    if (open?.data.length === 0) {
      open.data = data;
      this.host.outbox.grow(data.length);
      return;
    }
    const exchange = this.id;
    const frame: HttpDataFrame = { kind: 'data', exchange, data, end: false, trailers: [] };
    this.#last = frame;
    this.#lastTurn = this.host.outbox.turn;
    this.host.outbox.post(frame, data.length);
  }

  #sendEnd(): void {
    if (this.#isEndSent) return;
    this.#isEndSent = true;
    const open = this.#open();
    if (open !== undefined) {
      open.end = true;
      open.trailers = this.#trailers;
    } else {
      const exchange = this.id;
      const trailers = this.#trailers;
      this.host.outbox.post({ kind: 'data', exchange, data: noBytes, end: true, trailers });
    }
    this.#closeWhenDone();
  }

  /** Returns what own side has accepted, once it is at least `enough`. */
  #giveCredit(enough: number): void {
    if (this.#isClosed || this.#isCreditHeld || this.#hasPeerEnded) return;
    const bytes = this.#owedBytes;
    if (bytes < enough) return;
    this.#owedBytes = 0;
    this.#window += bytes;
    this.host.outbox.post({ kind: 'credit', exchange: this.id, bytes });
  }

  #closeWhenDone(): void {
    if (this.#isEndSent && this.#hasPeerEnded) this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.host.closed(this);
  }
}

/** The exchange at the asking peer: own side sends the request and receives the response. */
export class AskedExchange extends Exchange {
  readonly #response: ResponseReceiver;
  #openTurn = -1;
  #hasHead = false;

  constructor(id: number, host: ExchangeHost, credit: number, response: ResponseReceiver) {
    super(id, host, credit, response);
    this.#response = response;
  }

  /**
   * The peer has not seen it: nothing of it was written to the connection, or it was still on its way
   * when the peer ended the lane in order.
   */
  isUnbegun(isInOrder: boolean): boolean {
    return this.#openTurn === this.host.outbox.turn || (isInOrder && !this.#hasHead);
  }

  open(frame: HttpBodyFrame): void {
    this.#openTurn = this.host.outbox.turn;
    this.begin(frame);
  }

  receiveHead(head: ResponseHead): void {
    this.#hasHead = true;
    this.#response.head(head);
  }

  override receiveBody(part: Pick<HttpDataFrame, 'data' | 'end' | 'trailers'>): boolean {
    return this.#hasHead && super.receiveBody(part);
  }
}

/** The exchange at the serving peer: own side receives the request and sends the response. */
export class ServedExchange extends Exchange implements ResponseReceiver {
  head(response: ResponseHead): void {
    if (this.isClosed) return;
    assertLatin1(response.reason);
    const exchange = this.id;
    this.begin({ kind: 'head', exchange, response, data: noBytes, end: false, trailers: [] });
  }
}

/** Any character above U+00FF would become another byte on the wire, a line break among them. */
const beyondLatin1 = /[^\u0000-\u00ff]/;

/** Throws for text that no HTTP head can carry: a defect of whoever built the head. */
export function assertLatin1(text: string): void {
  if (beyondLatin1.test(text)) throw new TypeError('text of an HTTP head is not latin1');
}
