import { httpLimits } from '../../config/defaults.ts';
import {
  endToEndTrailers,
  HeaderBlock,
  type HeaderList,
  type ReceivedRequest,
  type RequestReceiver,
  type ResetCode,
  type ResponseHead,
  type ResponseReceiver,
} from '../../http/index.ts';
import type { HttpDecision, HttpElsewhere } from '../../pipeline/http-journey.ts';
import { HttpOffers } from '../../pipeline/http-offers.ts';
import { mayRetry } from '../../pipeline/http-retry.ts';
import type { ClientWriter } from './client-writer.ts';
import {
  errorResponse,
  type OwnResponse,
  redirectResponse,
  statusOfReset,
} from './error-response.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { ReplayBody } from './replay-body.ts';

/** One request and its response, from the decision to the last byte. */
export class ClientExchange implements ResponseReceiver {
  readonly #host: ExchangeHost;
  readonly #request: ReceivedRequest;
  readonly #writer: ClientWriter;
  readonly #body = new ReplayBody(httpLimits.replayBytesMax);
  #offers: HttpOffers | undefined;
  #serving: RequestReceiver | undefined;
  #isOffering = false;
  /** How the offer under way, or the last one, ended; the request may go on. */
  #failure: ResetCode | undefined;
  /** Some head has been passed on, if only 100: nobody else may answer any more. */
  #hasAnswer = false;
  /** No instance is left: another server has the request. */
  #isElsewhere = false;
  #isOver = false;
  #deadlineMs: number;
  #isTunnel = false;
  #hasResponseEnded = false;
  #pendingRounds = 0;

  constructor(request: ReceivedRequest, host: ExchangeHost, writer: ClientWriter) {
    this.#request = request;
    this.#host = host;
    this.#writer = writer;
    const { nowMs, timeouts, retries } = host.context;
    this.#deadlineMs = timeouts.requestMs === 0 ? Infinity : nowMs + timeouts.requestMs;
    retries.countRequest(nowMs);
  }

  /** The response has begun. */
  get hasResponse(): boolean {
    return this.#writer.isStarted;
  }

  /** Decides and offers the request. */
  start(): void {
    if (this.#isOver) return;
    this.#follow(this.#host.context.journey.decide(this.#request, this.#host.remote));
  }

  /** Called with each sweep: ends the exchange when it has lasted too long. */
  sweep(): void {
    if (this.#isOver || this.#host.context.nowMs < this.#deadlineMs) return;
    this.#host.context.counters.count('http_timeouts', 'request');
    this.fail(504, 'timeout');
  }

  #follow(decision: HttpDecision): void {
    switch (decision.kind) {
      case 'route':
        this.#offers = new HttpOffers(decision, this.#host.context.journey.offersMax);
        this.#offer();
        return;
      case 'pending':
        this.#startLater(decision.number);
        return;
      case 'unavailable':
        this.fail(503);
        return;
      case 'redirect':
        this.#answer(redirectResponse(decision));
        return;
      case 'elsewhere':
        this.#offerElsewhere(decision);
        return;
      case 'forbidden':
        this.fail(403);
        return;
      case 'bad-request':
        this.fail(400);
        return;
      case 'options':
        this.fail(200);
        return;
    }
  }

  /** A piece of the request's body. */
  requestData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#body.data(chunk);
    this.#serving?.data(chunk);
    this.#host.context.passed(chunk.length);
  }

  /** The request's body is whole. */
  requestEnd(trailers: HeaderList): void {
    if (this.#isOver) return;
    const kept = endToEndTrailers(trailers);
    this.#body.end(kept);
    this.#serving?.end(kept);
    if (this.#hasResponseEnded) this.#tunnelEnded();
  }

  /** The client went away or broke its framing; nothing more is written. */
  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.context.counters.count('http_aborts', 'client');
    this.#countTunnel('aborted');
    this.#release('cancelled');
  }

  /** Nothing passed through the tunnel for too long. */
  idle(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#countTunnel('idle');
    this.#release('timeout');
  }

  /** The client takes no more bytes, or takes them again. */
  clientFull(isFull: boolean): void {
    if (this.#hasResponseEnded) return;
    if (isFull) this.#serving?.pause();
    else this.#serving?.resume();
  }

  /** Ends the exchange with an answer of our own, or breaks it when the response has begun. */
  fail(status: number, code: ResetCode = 'cancelled'): void {
    if (this.#isOver) return;
    const { context, remote } = this.#host;
    if (status >= 400 && !this.#isTunnel) {
      context.counters.count('http_errors', String(status));
      if (status >= 500)
        context.log.warn({ status, client: remote.address }, 'HTTP request failed');
    }
    this.#countTunnel('broken');
    if (!this.#writer.isStarted) {
      this.#answer(errorResponse(status, context.journey.retryAfterSeconds), code);
      return;
    }
    this.#isOver = true;
    this.#release(code);
    this.#host.broken();
  }

  #answer({ head, body }: OwnResponse, code: ResetCode = 'cancelled'): void {
    this.#isOver = true;
    this.#release(code);
    this.#endUnasked();
    this.#decidePersistence();
    if (!this.#body.isComplete) this.#writer.isPersistent = false;
    this.#writer.head(head, HeaderBlock.empty, this.#host.context.date);
    this.#writer.data(body);
    this.#writer.end([]);
    this.#host.answered(this.#writer.isPersistent);
  }

  head(head: ResponseHead): void {
    if (this.#isOver) return;
    const isTunnel = head.status === 101;
    const isUnasked = isTunnel && this.#request.framing.kind !== 'tunnel';
    const isUnclear = isTunnel !== (head.framing.kind === 'tunnel');
    if (isUnasked || isUnclear || this.#writer.isStarted) {
      this.fail(502, 'broken');
      return;
    }
    this.#hasAnswer = true;
    this.#body.forget();
    if (!isTunnel && head.status >= 200) this.#endUnasked();
    try {
      this.#writeHead(head);
    } catch (error) {
      const instance = this.#offers?.instance;
      this.#host.context.log.error({ error, instance }, 'HTTP response refused');
      this.fail(502, 'broken');
      return;
    }
    this.#host.progressed();
    if (!isTunnel) return;
    this.#isTunnel = true;
    this.#deadlineMs = Infinity;
    this.#host.context.counters.count('http_tunnels', 'opened');
    if (this.#serving !== undefined) this.#host.tunnelled();
  }

  data(chunk: Uint8Array): void {
    if (this.#isOver) return;
    if (!this.#writer.isStarted || !this.#writer.data(chunk)) this.fail(502, 'broken');
    this.#host.context.passed(chunk.length);
  }

  end(trailers: HeaderList): void {
    if (this.#isOver) return;
    if (!this.#writer.isStarted || !this.#writer.end(trailers)) {
      this.fail(502, 'broken');
      return;
    }
    if (this.#isTunnel) {
      this.#hasResponseEnded = true;
      if (this.#body.isComplete) this.#tunnelEnded();
      else this.#host.responseEnded();
      return;
    }
    this.#isOver = true;
    if (!this.#body.isComplete) this.#release('cancelled');
    this.#host.answered(this.#writer.isPersistent);
  }

  reset(code: ResetCode): void {
    if (this.#isOver) return;
    this.#serving = undefined;
    this.#host.context.counters.count('http_resets', code);
    if (!this.#mayOfferAgain(code)) {
      this.fail(statusOfReset[code]);
      return;
    }
    this.#failure = code;
    this.#offers?.failed(code);
    if (!this.#isOffering) this.#guard(() => this.#offer());
  }

  pause(): void {
    if (!this.#isOver) this.#host.holdBody(true);
  }

  resume(): void {
    if (!this.#isOver) this.#host.holdBody(false);
  }

  #startLater(number: string): void {
    if (++this.#pendingRounds > httpLimits.pendingRoundsMax) {
      this.fail(503);
      return;
    }
    const again = (): void => this.#guard(() => this.start());
    // A look-up that failed is known as such: the next round decides without it.
    void this.#host.context.whenNumberKnown(number).then(again, again);
  }

  /** The boundary for defects of ours where another than the client's connection calls. */
  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#host.context.counters.count('http_defects', 'request');
      this.#host.context.log.error({ error }, 'HTTP request failed');
      this.#isOffering = false;
      this.fail(500, 'broken');
    }
  }

  #mayOfferAgain(code: ResetCode): boolean {
    const offers = this.#offers;
    if (offers === undefined || this.#isElsewhere) return false;
    const request = { method: this.#request.method, canReplay: this.#body.canReplay };
    const retry = mayRetry(request, { code, hasAnswer: this.#hasAnswer });
    if (retry !== 'budgeted') return retry === 'free';
    // What began with a tunnel was never meant to be idempotent.
    if (this.#request.framing.kind === 'tunnel') return false;
    if (!offers.hasNext) return false;
    const { retries, nowMs, counters } = this.#host.context;
    if (retries.take(nowMs)) return true;
    counters.count('http_retry_budget', 'exhausted');
    return false;
  }

  /** Goes through the candidates until one takes the request. */
  #offer(): void {
    const offers = this.#offers!;
    this.#isOffering = true;
    let isTaken = false;
    while (!isTaken && offers.next()) {
      if (offers.isRepeated) {
        this.#host.context.counters.count('http_retries', this.#failure ?? 'refused');
      }
      isTaken = this.#offerTo(offers);
    }
    this.#isOffering = false;
    if (!isTaken) this.#withoutInstance(offers);
  }

  #withoutInstance({ route, isUntouched, latestFailure }: HttpOffers): void {
    const resort = isUntouched
      ? this.#host.context.journey.whenAllRefused(this.#request, route)
      : undefined;
    if (resort !== undefined) this.#follow(resort);
    else this.fail(latestFailure === undefined ? 503 : statusOfReset[latestFailure]);
  }

  /** @returns whether the search is over */
  #offerTo(offers: HttpOffers): boolean {
    const { journey, serve } = this.#host.context;
    const { route, instance, hasNext } = offers;
    this.#beginOffer();
    const envelope = journey.envelope(route, instance, !hasNext);
    const serving = serve(instance, route.head, envelope, this);
    if (serving === undefined) offers.unreached();
    return this.#hasTaken(serving);
  }

  /** There is nobody behind: what becomes of it is the answer. */
  #offerElsewhere({ head }: HttpElsewhere): void {
    const { serveElsewhere } = this.#host.context;
    this.#isElsewhere = true;
    this.#beginOffer();
    if (!this.#hasTaken(serveElsewhere?.(head, this))) this.fail(503);
  }

  #beginOffer(): void {
    this.#failure = undefined;
    this.#host.holdBody(false);
  }

  /** @returns false: the next one may be asked */
  #hasTaken(serving: RequestReceiver | undefined): boolean {
    if (serving === undefined || this.#hasFailed()) return false;
    if (this.#isOver) {
      if (this.#body.isComplete) this.#body.replayTo(serving);
      else serving.reset('cancelled');
      return true;
    }
    this.#serving = serving;
    this.#body.replayTo(serving);
    if (this.#isTunnel) this.#host.tunnelled();
    if (this.#hasFailed()) return false;
    this.#admitBody();
    return true;
  }

  /** Unless what was there of it has ended the exchange already. */
  #admitBody(): void {
    if (this.#serving !== undefined) this.#host.routed();
  }

  /** Asked after calls that may have come back with a reset. */
  #hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** A request for a tunnel that gets another answer has no body. */
  #endUnasked(): void {
    if (this.#request.framing.kind !== 'tunnel' || this.#isTunnel) return;
    this.#body.end([]);
    this.#serving?.end([]);
  }

  #tunnelEnded(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#countTunnel('closed');
    this.#host.answered(false);
  }

  /** Each tunnel that was opened ends with one of these. */
  #countTunnel(end: 'closed' | 'idle' | 'aborted' | 'broken'): void {
    if (this.#isTunnel) this.#host.context.counters.count('http_tunnels', end);
  }

  #writeHead(head: ResponseHead): void {
    if (head.status < 200 && head.status !== 101) {
      this.#writer.interim(head);
      return;
    }
    const { journey, date } = this.#host.context;
    this.#decidePersistence();
    const offers = this.#isElsewhere ? undefined : this.#offers;
    const cookies =
      offers === undefined
        ? HeaderBlock.empty
        : journey.responseCookies(offers.route, offers.instance, head);
    this.#writer.head(head, cookies, date);
  }

  #decidePersistence(): void {
    // Whether a client that still waits for 100 will send its body is not known.
    const mayComeLater = this.#request.expectsContinue && !this.#body.hasBegun;
    if (mayComeLater || this.#host.context.isDraining) this.#writer.isPersistent = false;
  }

  #release(code: ResetCode): void {
    const serving = this.#serving;
    this.#serving = undefined;
    serving?.reset(code);
  }
}
