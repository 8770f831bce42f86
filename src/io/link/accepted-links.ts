import type { Buffer } from 'node:buffer';
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ServedExchanges } from './exchanges.ts';
import type { HelloFrame, LaneKind } from './frame.ts';
import { checkHello } from './hello.ts';
import { Lane } from './lane.ts';
import type { Greeting, LaneContext } from './lane.ts';
import type { LinkPeer } from './link.ts';
import type { Trust } from './trust.ts';

type Call = ServerDuplexStream<Buffer, Buffer>;

/** One lane that a peer dialled. */
interface AcceptedLane {
  readonly call: Call;
  readonly lane: Lane;
  readonly peer: string;
  readonly epoch: number;
  readonly kind: LaneKind;
}

export interface AcceptedLinksEvents {
  /** The peer leaves. */
  goodbye(peer: string): void;
  exchangeClosed(): void;
}

/** The lanes that other peers dialled: at most one of each kind for each member. */
export class AcceptedLinks {
  readonly #context: LaneContext;
  readonly #trust: Trust;
  readonly #events: AcceptedLinksEvents;
  readonly #lanes = new Map<string, AcceptedLane>();
  #members: ReadonlyMap<string, LinkPeer> = new Map();
  #strangers = 0;
  #isStopping = false;

  constructor(context: LaneContext, trust: Trust, events: AcceptedLinksEvents) {
    this.#context = context;
    this.#trust = trust;
    this.#events = events;
  }

  /** Exchanges that run on accepted lanes. */
  get exchangeCount(): number {
    let count = 0;
    for (const { lane } of this.#lanes.values()) {
      if (lane.greeting?.kind === 'http') count += lane.greeting.exchanges.count;
    }
    return count;
  }

  /** The SIP lane that the peer dialled. */
  sip(peer: string): Lane | undefined {
    return this.#lanes.get(`sip ${peer}`)?.lane;
  }

  setMembers(members: ReadonlyMap<string, LinkPeer>): void {
    this.#members = members;
    for (const accepted of [...this.#lanes.values()]) {
      const member = members.get(accepted.peer);
      if (member === undefined || member.epoch > accepted.epoch) this.#end(accepted);
    }
  }

  /** No new exchanges from now on; peers are told. */
  sayGoodbye(): void {
    this.#isStopping = true;
    for (const { lane, kind } of this.#lanes.values()) if (kind === 'sip') lane.sendGoodbye();
  }

  /** Ends every lane in order. */
  close(): void {
    for (const accepted of [...this.#lanes.values()]) this.#end(accepted);
  }

  /** The handler of `Relay`. */
  relay(call: Call): void {
    if (this.#strangers >= this.#context.limits.strangersMax || this.#isStopping) {
      this.#refuse(call, this.#isStopping ? 'stopping' : 'strangers_max');
      return;
    }
    let accepted: AcceptedLane | undefined;
    let isStranger = true;
    const known = (): void => {
      if (!isStranger) return;
      isStranger = false;
      clearTimeout(helloTimer);
      this.#strangers -= 1;
    };
    const over = (): void => {
      known();
      lane.close();
      if (accepted !== undefined) this.#forget(accepted);
    };
    const lane = new Lane({ write: (batch, done) => call.write(batch, done) }, this.#context, {
      hello: (hello) => {
        known();
        const greeting = this.#greeted(call, lane, hello);
        if (greeting === undefined) lane.close();
        else accepted = this.#lanes.get(`${hello.lane} ${hello.peer}`);
        return greeting;
      },
      goodbye: () => {
        if (accepted !== undefined) this.#events.goodbye(accepted.peer);
      },
      violated: () => {
        fail(call, status.INVALID_ARGUMENT, 'violation');
      },
    });
    this.#strangers += 1;
    const helloTimer = setTimeout(() => {
      this.#refuse(call, 'no_hello');
      over();
    }, this.#context.limits.helloTimeoutMs);
    call.on('data', (batch: Buffer) => {
      lane.receive(batch);
    });
    call.on('end', () => {
      over();
      call.end();
    });
    call.on('error', over);
    call.on('cancelled', over);
  }

  #greeted(call: Call, lane: Lane, hello: HelloFrame): Greeting | undefined {
    const member = this.#members.get(hello.peer);
    const certificate = call.getAuthContext().sslPeerCertificate;
    const fault = checkHello(hello, this.#context.cluster, member, (peer) =>
      this.#trust.names(certificate, peer),
    );
    if (fault !== undefined) {
      this.#refuse(call, fault);
      return undefined;
    }
    const accepted = { call, lane, peer: hello.peer, epoch: hello.epoch, kind: hello.lane };
    this.#replace(accepted);
    lane.sendHello(hello.lane);
    if (hello.lane === 'sip') return { kind: 'sip' };
    const { limits, counters, log, handler, onBodyBytes } = this.#context;
    const exchanges = new ServedExchanges(
      {
        outbox: lane.outbox,
        limits,
        counters,
        log,
        peerWindowBytes: hello.windowBytes,
        onBodyBytes,
        onClosed: () => {
          this.#events.exchangeClosed();
        },
      },
      (request, envelope, response) => handler.http(request, envelope, response),
      () => this.#isStopping,
    );
    return { kind: 'http', exchanges };
  }

  /** A peer that dials again has lost its former lane, whether this side has noticed or not. */
  #replace(accepted: AcceptedLane): void {
    for (const old of [...this.#lanes.values()]) {
      if (old.peer !== accepted.peer) continue;
      if (old.kind === accepted.kind || old.epoch < accepted.epoch) this.#end(old);
    }
    this.#lanes.set(`${accepted.kind} ${accepted.peer}`, accepted);
  }

  #end(accepted: AcceptedLane): void {
    this.#forget(accepted);
    accepted.lane.leave(() => {
      accepted.call.end();
    });
  }

  #forget(accepted: AcceptedLane): void {
    const key = `${accepted.kind} ${accepted.peer}`;
    if (this.#lanes.get(key) === accepted) this.#lanes.delete(key);
  }

  #refuse(call: Call, reason: string): void {
    this.#context.counters.count('link_refusals', reason);
    fail(call, status.PERMISSION_DENIED, reason);
  }
}

/** Ends a call with a status: on the serving side gRPC takes it as an error event. */
function fail(call: Call, code: status, details: string): void {
  call.emit('error', Object.assign(new Error(details), { code, details }));
}
