import { httpLimits } from '../../config/defaults.ts';
import type {
  HeaderList,
  RequestHead,
  RequestReceiver,
  ResetCode,
  ResponseHead,
  ResponseReceiver,
} from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { Admission } from './ejection.ts';
import type { Waiting, WaitingPlace } from './upstream-queue.ts';

/** What carries an exchange once it has a connection. */
export interface ExchangeCarrier {
  bodyData(chunk: Uint8Array): void;
  bodyEnd(trailers: HeaderList): void;
  /** The asker gave up. */
  abandon(): void;
  pauseResponse(): void;
  resumeResponse(): void;
}

/** Told once for each exchange what it says about the server. */
export type Judge = (admission: Admission, verdict: 'answered' | 'failed' | 'unjudged') => void;

/** Takes the body of a request that nobody serves. */
export const nobody: RequestReceiver = {
  data: () => undefined,
  end: () => undefined,
  reset: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

/** RFC 9110 section 9.2.2: what may be sent again though the server may have seen it. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/**
 * One request on its way to the upstream server: holds what the asker sends while there is no
 * connection yet, passes it through afterwards.
 */
export class UpstreamHttpExchange implements RequestReceiver, Waiting {
  readonly request: RequestHead;
  readonly envelope: Envelope;
  readonly response: ResponseReceiver;
  waiting: WaitingPlace | undefined;
  isOver = false;
  #hasEnded = false;
  /** The server went over to the protocol asked for: both directions are byte streams. */
  #isTunnel = false;
  #carrier: ExchangeCarrier | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #trailers: HeaderList = [];
  #isAskerPaused = false;
  #isResponsePaused = false;
  #hasAnswered = false;
  readonly #admission: Admission;
  readonly #judge: Judge;
  #isJudged = false;

  constructor(
    request: RequestHead,
    envelope: Envelope,
    response: ResponseReceiver,
    admission: Admission,
    judge: Judge,
  ) {
    this.request = request;
    this.envelope = envelope;
    this.response = response;
    this.#admission = admission;
    this.#judge = judge;
  }

  /** The server has all that it may expect; a request for a tunnel has no body until it is answered. */
  get isRequestComplete(): boolean {
    return this.#hasEnded || (this.asksForTunnel && !this.#isTunnel);
  }

  get asksForTunnel(): boolean {
    return this.request.framing.kind === 'tunnel';
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
    if (this.#hasEnded) carrier.bodyEnd(this.#trailers);
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

  /** The server answered 101: the response is a stream of bytes, and so is the request. */
  switched(head: ResponseHead): void {
    this.#isTunnel = true;
    this.response.head(head);
  }

  /** The server has begun to respond, 1xx included: the asker is told of the head next. */
  answered(): void {
    if (!this.#isJudged) this.#tell('answered');
  }

  /** Ends the exchange with a failure of the server; the asker is told. */
  fail(code: ResetCode): void {
    this.#end('failed', code);
  }

  /** Ends the exchange for a reason that is not the server's; the asker is told. */
  giveUp(code: ResetCode): void {
    this.#end('unjudged', code);
  }

  /** The response is complete, and the exchange with it unless a tunnel's other direction goes on. */
  complete(trailers: HeaderList): void {
    if (this.isOver) return;
    this.#hasAnswered = true;
    if (!this.#isTunnel || this.#hasEnded) this.#finish();
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
    this.#hasEnded = true;
    this.#trailers = trailers;
    const carrier = this.#carrier;
    if (this.#hasAnswered) this.#finish();
    carrier?.bodyEnd(trailers);
  }

  reset(code: ResetCode): void {
    if (this.isOver) return;
    this.isOver = true;
    const carrier = this.#carrier;
    // Whoever asked may have less patience than the connection.
    const isServerLate = code === 'timeout' && carrier !== undefined && this.isRequestComplete;
    if (!this.#isJudged) this.#tell(isServerLate ? 'failed' : 'unjudged');
    this.waiting?.leave();
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

  #finish(): void {
    this.isOver = true;
    this.#forget();
  }

  #end(verdict: 'failed' | 'unjudged', code: ResetCode): void {
    if (this.isOver) return;
    this.isOver = true;
    if (!this.#isJudged) this.#tell(verdict);
    this.#forget();
    this.response.reset(code);
  }

  #tell(verdict: 'answered' | 'failed' | 'unjudged'): void {
    this.#isJudged = true;
    this.#judge(this.#admission, verdict);
  }

  #forget(): void {
    this.#carrier = undefined;
    this.#held = [];
  }
}
