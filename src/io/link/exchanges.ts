import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import { AskedExchange, ServedExchange, assertLatin1 } from './exchange.ts';
import type { Exchange, ExchangeHost } from './exchange.ts';
import type { HttpFrame, HttpOpenFrame } from './frame.ts';
import type { LinkHandler } from './link.ts';
import type { LinkLimits, LinkLog } from './options.ts';
import type { Outbox } from './outbox.ts';

const noBytes = new Uint8Array(0);

export interface ExchangesContext {
  readonly outbox: Outbox;
  readonly limits: LinkLimits;
  readonly counters: Counters;
  readonly log: LinkLog;
  /** Body bytes that the peer takes per exchange before it gives credit. */
  readonly peerWindowBytes: number;
  /** Body bytes were sent or received. */
  readonly onBodyBytes?: ((bytes: number) => void) | undefined;
  /** An exchange ended. */
  readonly onClosed: () => void;
}

/** The exchanges of one HTTP lane. They live and die with it. */
abstract class Exchanges<Kind extends Exchange> implements ExchangeHost {
  readonly outbox: Outbox;
  readonly limits: LinkLimits;
  protected readonly context: ExchangesContext;
  protected readonly open: Map<number, Kind> = new Map<number, Kind>();
  protected lastId = 0;
  readonly #stalled = new Set<Exchange>();

  constructor(context: ExchangesContext) {
    this.context = context;
    this.outbox = context.outbox;
    this.limits = context.limits;
  }

  get count(): number {
    return this.open.size;
  }

  /** False: the peer broke the rules of the link. A handler that throws ends its exchange alone. */
  receive(frame: HttpFrame): boolean {
    return this.#guard(frame.exchange, () => this.accept(frame));
  }

  /** The lane takes bodies again. */
  resume(): void {
    const stalled = [...this.#stalled];
    this.#stalled.clear();
    for (const exchange of stalled) {
      this.#guard(exchange.id, () => {
        exchange.proceed();
        return true;
      });
    }
  }

  /**
   * The lane is gone.
   *
   * @param isInOrder the peer ended it, having reset all that it had begun
   */
  fail(isInOrder: boolean): void {
    this.#endAll((exchange) => {
      const isUnbegun = exchange instanceof AskedExchange && exchange.isUnbegun(isInOrder);
      const code = isUnbegun ? 'refused' : 'broken';
      this.context.counters.count('link_http_resets', code);
      exchange.receiveReset(code);
    });
  }

  /** Breaks what runs, on both sides. */
  abort(): void {
    this.#endAll((exchange) => {
      this.context.counters.count('link_http_resets', 'broken');
      exchange.abort('broken');
    });
  }

  passed(bytes: number): void {
    this.context.onBodyBytes?.(bytes);
  }

  stalled(exchange: Exchange): void {
    this.#stalled.add(exchange);
  }

  closed(exchange: Exchange): void {
    this.open.delete(exchange.id);
    this.#stalled.delete(exchange);
    this.context.onClosed();
  }

  #endAll(end: (exchange: Kind) => void): void {
    for (const exchange of [...this.open.values()]) {
      this.#guard(exchange.id, () => {
        end(exchange);
        return true;
      });
    }
  }

  /** The one place where a defect of own side is caught. */
  #guard(id: number, step: () => boolean): boolean {
    try {
      return step();
    } catch (error) {
      this.context.counters.count('link_http_resets', 'handler_failed');
      this.context.log.error({ err: error }, 'handler of an HTTP exchange failed');
      this.open.get(id)?.reset('broken');
      return true;
    }
  }

  protected abstract accept(frame: HttpFrame): boolean;

  /** Frames that either side may send. Those of an exchange that ended here were on their way. */
  protected acceptCommon(frame: HttpFrame): boolean {
    const exchange = this.open.get(frame.exchange);
    if (exchange === undefined) return frame.exchange <= this.lastId;
    switch (frame.kind) {
      case 'data':
        if (exchange.receiveBody(frame)) return true;
        exchange.abort('broken');
        return false;
      case 'credit':
        exchange.receiveCredit(frame.bytes);
        return true;
      case 'reset':
        exchange.receiveReset(frame.code);
        return true;
      case 'open':
      case 'head':
        return false;
    }
  }
}

/** Exchanges that this peer opened on a lane that it dialled. */
export class AskedExchanges extends Exchanges<AskedExchange> {
  /** Undefined: a limit is reached (counted), nothing was sent. */
  ask(
    request: RequestHead,
    envelope: Envelope,
    response: ResponseReceiver,
  ): RequestReceiver | undefined {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      this.context.counters.count('link_http_refusals', refusal);
      return undefined;
    }
    assertLatin1(request.method + request.target);
    this.lastId += 1;
    const id = this.lastId;
    const exchange = new AskedExchange(id, this, this.context.peerWindowBytes, response);
    this.open.set(id, exchange);
    const frame: HttpOpenFrame = {
      kind: 'open',
      exchange: id,
      request,
      envelope,
      data: noBytes,
      end: false,
      trailers: [],
    };
    exchange.open(frame);
    return exchange;
  }

  protected override accept(frame: HttpFrame): boolean {
    if (frame.kind !== 'head') return this.acceptCommon(frame);
    const exchange = this.open.get(frame.exchange);
    if (exchange === undefined) return frame.exchange <= this.lastId;
    exchange.receiveHead(frame.response);
    if (exchange.isClosed || exchange.receiveBody(frame)) return true;
    exchange.abort('broken');
    return false;
  }

  #refusal(request: RequestHead): 'exchanges_max' | 'congested' | 'too_large' | undefined {
    if (this.open.size >= this.limits.exchangesMax) return 'exchanges_max';
    if (!this.outbox.takesBodies()) return 'congested';
    const bytes = request.method.length + request.target.length + request.headers.text.length;
    return bytes > this.limits.headBytesMax ? 'too_large' : undefined;
  }
}

/** Exchanges that the peer opened on a lane that this peer accepted. */
export class ServedExchanges extends Exchanges<ServedExchange> {
  readonly #serve: LinkHandler['http'];
  readonly #isStopping: () => boolean;

  constructor(context: ExchangesContext, serve: LinkHandler['http'], isStopping: () => boolean) {
    super(context);
    this.#serve = serve;
    this.#isStopping = isStopping;
  }

  protected override accept(frame: HttpFrame): boolean {
    return frame.kind === 'open' ? this.#begin(frame) : this.acceptCommon(frame);
  }

  #begin(frame: HttpOpenFrame): boolean {
    const id = frame.exchange;
    if (id <= this.lastId) return false;
    this.lastId = id;
    if (this.#isStopping() || this.open.size >= this.limits.exchangesMax) {
      const reason = this.#isStopping() ? 'stopping' : 'exchanges_max';
      this.context.counters.count('link_http_refusals', reason);
      this.outbox.post({ kind: 'reset', exchange: id, code: 'refused' });
      return true;
    }
    const exchange = new ServedExchange(id, this, this.context.peerWindowBytes);
    this.open.set(id, exchange);
    const own = this.#serve(frame.request, frame.envelope, exchange);
    if (exchange.isClosed) return true;
    exchange.attach(own);
    if (exchange.receiveBody(frame)) return true;
    exchange.abort('broken');
    return false;
  }
}
