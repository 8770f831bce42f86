import type { Buffer } from 'node:buffer';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';
import type { Asks } from './asks.ts';
import { BatchDecoder } from './batch-decoder.ts';
import type { AskedExchanges, ServedExchanges } from './exchanges.ts';
import type { FrameSink, HelloFrame, HttpFrame, LaneKind } from './frame.ts';
import { protocolVersion } from './frame.ts';
import type { LinkOptions, LinkLimits } from './options.ts';
import { Outbox } from './outbox.ts';
import type { BatchStream } from './outbox.ts';

/** What all lanes of a peer share. */
export interface LaneContext extends LinkOptions {
  readonly limits: LinkLimits;
  readonly asks: Asks;
}

export interface LaneEvents {
  /** The peer said who it is. Undefined: it is not welcome, and the owner has ended the call. */
  hello(hello: HelloFrame): Greeting | undefined;
  /** The peer leaves. */
  goodbye(): void;
  /** The peer sent what the rules of the link forbid; counted already. The owner ends the call. */
  violated(): void;
}

/** What a lane carries once its peer is known. */
export type Greeting =
  | { readonly kind: 'sip' }
  | { readonly kind: 'http'; readonly exchanges: AskedExchanges | ServedExchanges };

/** One gRPC call between two peers, seen from either: batches out, frames in. */
export class Lane implements FrameSink {
  readonly outbox: Outbox;
  readonly #context: LaneContext;
  readonly #events: LaneEvents;
  readonly #decoder: BatchDecoder;
  #greeting: Greeting | undefined;
  #isClosed = false;

  constructor(stream: BatchStream, context: LaneContext, events: LaneEvents) {
    this.#context = context;
    this.#events = events;
    this.#decoder = new BatchDecoder(this, context.limits.framesPerBatchAccepted);
    this.outbox = new Outbox(stream, context.limits, context.counters, () => {
      if (this.#greeting?.kind === 'http') this.#greeting.exchanges.resume();
    });
  }

  /** Undefined until the peer's hello was accepted. */
  get greeting(): Greeting | undefined {
    return this.#greeting;
  }

  /** Says who this peer is; the first batch of the lane in this direction. */
  sendHello(lane: LaneKind): void {
    const { self, cluster, limits } = this.#context;
    this.outbox.post({
      kind: 'hello',
      cluster,
      peer: self.name,
      epoch: self.epoch,
      protocol: protocolVersion,
      lane,
      windowBytes: limits.exchangeWindowBytes,
    });
    this.outbox.flush();
  }

  sendGoodbye(): void {
    this.outbox.post({ kind: 'goodbye' });
    this.outbox.flush();
  }

  /** Takes a batch as it came. */
  receive(batch: Buffer): void {
    if (this.#isClosed) return;
    const outcome = this.#decoder.decode(batch);
    this.#context.counters.count('link_batches', 'received');
    if (typeof outcome === 'number') {
      this.#context.counters.count('link_frames', 'received', outcome);
    } else {
      this.#violation(outcome);
    }
  }

  /**
   * The call is over: exchanges on it end, nothing more is sent or delivered.
   *
   * @param isInOrder the peer has left ({@link leave}), and all that it sent before was read
   */
  close(isInOrder = false): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#greeting?.kind === 'http') this.#greeting.exchanges.fail(isInOrder);
    this.outbox.close();
    if (this.#greeting?.kind === 'sip') this.#context.asks.laneGone(this);
  }

  /**
   * Ends the lane in order. Exchanges that run are reset, so that the peer knows: what it opened beside
   * them was never begun. Calls back when all that waits was given to the call, which is then to end.
   */
  leave(sent: () => void): void {
    if (this.#isClosed) {
      sent();
      return;
    }
    if (this.#greeting?.kind === 'http') this.#greeting.exchanges.abort();
    this.#isClosed = true;
    if (this.#greeting?.kind === 'sip') this.#context.asks.laneGone(this);
    this.outbox.finish(sent);
  }

  // Frames, as the decoder finds them.

  sipRequest(message: Buffer, envelope: Envelope): void {
    if (!this.#isLive('sip')) return;
    try {
      this.#context.handler.sipRequest(message, envelope);
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  sipResponse(message: Buffer): void {
    if (!this.#isLive('sip')) return;
    try {
      this.#context.handler.sipResponse(message);
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  toApplication(message: Buffer): void {
    if (!this.#isLive('sip')) return;
    try {
      this.#context.handler.toApplication(message);
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  toFlow(message: Buffer, flow: string, target: SipTarget | undefined): void {
    if (!this.#isLive('sip')) return;
    try {
      this.#context.handler.toFlow(message, flow, target);
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  note(transaction: string, assignment: Assignment): void {
    if (!this.#isLive('sip')) return;
    try {
      this.#context.handler.note(transaction, assignment);
    } catch (error) {
      this.#handlerFailed(error);
    }
  }

  /** Answered on this lane at once; a directory that fails knows nothing. */
  ask(id: number, transaction: string, claim: Assignment | undefined): void {
    if (!this.#isLive('sip')) return;
    let known: Assignment | undefined;
    try {
      known = this.#context.handler.ask(transaction, claim);
    } catch (error) {
      this.#handlerFailed(error);
    }
    this.outbox.answer(id, known);
  }

  answer(id: number, assignment: Assignment | undefined): void {
    if (!this.#isLive('sip')) return;
    if (!this.#context.asks.answer(this, id, assignment)) this.#violation('answer');
  }

  http(frame: HttpFrame): void {
    if (!this.#isLive('http')) return;
    const greeting = this.#greeting;
    if (greeting?.kind === 'http' && !greeting.exchanges.receive(frame)) {
      this.#violation('exchange');
    }
  }

  hello(frame: HelloFrame): void {
    if (this.#isClosed) return;
    if (this.#greeting !== undefined) this.#violation('second_hello');
    else this.#greeting = this.#events.hello(frame);
  }

  goodbye(): void {
    if (this.#greeting === undefined) this.#violation('no_hello');
    else if (!this.#isClosed) this.#events.goodbye();
  }

  #isLive(kind: LaneKind): boolean {
    if (this.#isClosed) return false;
    if (this.#greeting?.kind === kind) return true;
    this.#violation(this.#greeting === undefined ? 'no_hello' : 'wrong_lane');
    return false;
  }

  #violation(reason: string): void {
    if (this.#isClosed) return;
    this.#context.counters.count('link_violations', reason);
    this.#events.violated();
    this.close();
  }

  #handlerFailed(error: unknown): void {
    this.#context.counters.count('link_sip_drops', 'handler_failed');
    this.#context.log.error({ err: error }, 'handler of a SIP message failed');
  }
}
