import { httpLimits } from '../../config/defaults.ts';
import type {
  HeaderList,
  RequestHead,
  RequestReceiver,
  ResetCode,
  ResponseReceiver,
} from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';

/** What carries an exchange once it has a connection. */
export interface ExchangeCarrier {
  bodyData(chunk: Uint8Array): void;
  bodyEnd(trailers: HeaderList): void;
  /** The asker gave up. */
  abandon(): void;
  pauseResponse(): void;
  resumeResponse(): void;
}

/** RFC 9110 section 9.2.2: what may be sent again though the server may have seen it. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/**
 * One request on its way to the upstream server: holds what the asker sends while there is no
 * connection yet, passes it through afterwards.
 */
export class UpstreamHttpExchange implements RequestReceiver {
  readonly request: RequestHead;
  readonly envelope: Envelope;
  readonly response: ResponseReceiver;
  queuedAtMs = 0;
  isOver = false;
  /** The asker has sent the whole body. */
  isRequestComplete = false;
  #carrier: ExchangeCarrier | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #trailers: HeaderList = [];
  #isAskerPaused = false;
  #isResponsePaused = false;

  constructor(request: RequestHead, envelope: Envelope, response: ResponseReceiver) {
    this.request = request;
    this.envelope = envelope;
    this.response = response;
  }

  /** Whether it may be sent again after a connection broke without a byte of response. */
  get isRepeatable(): boolean {
    const hasBody = this.request.framing.kind !== 'none';
    return !hasBody && idempotentMethods.has(this.request.method);
  }

  /** The carrier has written the head and takes the body from here on. */
  carriedBy(carrier: ExchangeCarrier): void {
    this.#carrier = carrier;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const chunk of held) carrier.bodyData(chunk);
    if (this.isRequestComplete) carrier.bodyEnd(this.#trailers);
    if (this.#isResponsePaused) carrier.pauseResponse();
    if (this.#isAskerPaused) {
      this.#isAskerPaused = false;
      this.response.resume();
    }
  }

  /** The carrier is gone and another will come. */
  dropped(): void {
    this.#carrier = undefined;
  }

  /** Ends the exchange with a failure; the asker is told. */
  fail(code: ResetCode): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#forget();
    this.response.reset(code);
  }

  /** The response is complete. */
  complete(trailers: HeaderList): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#forget();
    this.response.end(trailers);
  }

  data(chunk: Uint8Array): void {
    if (this.isOver) return;
    if (this.#carrier !== undefined) {
      this.#carrier.bodyData(chunk);
      return;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    const isFull =
      this.#heldBytes >= httpLimits.replayBytesMax ||
      this.#held.length >= httpLimits.replayPiecesMax;
    if (isFull && !this.#isAskerPaused) {
      this.#isAskerPaused = true;
      this.response.pause();
    }
  }

  end(trailers: HeaderList): void {
    if (this.isOver) return;
    this.isRequestComplete = true;
    this.#trailers = trailers;
    this.#carrier?.bodyEnd(trailers);
  }

  reset(): void {
    if (this.isOver) return;
    this.isOver = true;
    const carrier = this.#carrier;
    this.#forget();
    carrier?.abandon();
  }

  pause(): void {
    this.#isResponsePaused = true;
    this.#carrier?.pauseResponse();
  }

  resume(): void {
    this.#isResponsePaused = false;
    this.#carrier?.resumeResponse();
  }

  #forget(): void {
    this.#carrier = undefined;
    this.#held = [];
  }
}
