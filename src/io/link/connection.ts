import type { Buffer } from 'node:buffer';
import { Client, Metadata, status } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { AskedExchanges } from './exchanges.ts';
import type { HelloFrame, LaneKind } from './frame.ts';
import { laneKinds } from './frame.ts';
import { checkHello } from './hello.ts';
import { Lane } from './lane.ts';
import type { Greeting, LaneContext } from './lane.ts';
import type { LinkPeer } from './link.ts';
import { clientOptions, relayMethod } from './service.ts';

/** Why a connection ended. */
export type ConnectionEnd =
  /** The dial failed, or the connection broke. */
  | 'unreachable'
  /** Nothing came back in time: no refusal either. */
  | 'silent'
  /** The peer does not want us (yet): it may not know this member. */
  | 'refused'
  /** The peer is not the one we want. */
  | 'wrong_peer'
  | 'violation'
  /** The peer ended the lanes in order. */
  | 'left'
  /** This side ended it. */
  | 'closed';

export interface ConnectionEvents {
  /** Both lanes are greeted. */
  up(): void;
  goodbye(): void;
  /** Called once, at the latest after `close`. */
  ended(reason: ConnectionEnd, wasUp: boolean): void;
}

type Call = ClientDuplexStream<Buffer, Buffer>;

/** One connection to a peer, from the dial to its end: a SIP lane and an HTTP lane. */
export class Connection {
  readonly #context: LaneContext;
  readonly #peer: LinkPeer;
  readonly #events: ConnectionEvents;
  readonly #client: Client;
  readonly #calls: Call[] = [];
  readonly #lanes = new Map<LaneKind, Lane>();
  /** Ends the connection that does not come up, or does not end whole. */
  #timer: NodeJS.Timeout;
  readonly #onExchangeClosed: () => void;
  #exchanges: AskedExchanges | undefined;
  #epoch = 0;
  #isUp = false;
  #isLeaving = false;
  #isEnded = false;

  constructor(
    context: LaneContext,
    peer: LinkPeer,
    credentials: ChannelCredentials,
    events: ConnectionEvents,
    onExchangeClosed: () => void,
  ) {
    this.#context = context;
    this.#peer = peer;
    this.#events = events;
    this.#onExchangeClosed = onExchangeClosed;
    // With its scheme, so that a host called "unix" is no other scheme.
    const target = `dns:${peer.address}`;
    this.#client = new Client(target, credentials, clientOptions(context.limits, peer.name));
    for (const kind of laneKinds) this.#openLane(kind);
    this.#timer = setTimeout(() => {
      this.#end('silent');
    }, context.limits.helloTimeoutMs);
  }

  get isUp(): boolean {
    return this.#isUp && !this.#isLeaving;
  }

  /** Start epoch that the peer told; 0 before its hello. */
  get epoch(): number {
    return this.#epoch;
  }

  get sip(): Lane | undefined {
    return this.#isUp ? this.#lanes.get('sip') : undefined;
  }

  get exchanges(): AskedExchanges | undefined {
    return this.#isUp ? this.#exchanges : undefined;
  }

  /** Sends what waits, then ends the lanes and the connection. */
  close(): void {
    for (const lane of this.#lanes.values()) lane.outbox.flush();
    this.#end('closed');
  }

  #openLane(kind: LaneKind): void {
    const { path, requestSerialize, responseDeserialize } = relayMethod;
    const call: Call = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
    );
    const lane: Lane = new Lane(
      { write: (batch, done) => call.write(batch, done) },
      this.#context,
      {
        hello: (hello) => this.#greeted(kind, lane, hello),
        goodbye: () => {
          this.#events.goodbye();
        },
        violated: () => {
          this.#end('violation');
        },
      },
    );
    this.#calls.push(call);
    this.#lanes.set(kind, lane);
    call.on('data', (batch: Buffer) => {
      lane.receive(batch);
    });
    this.#watchEnd(call, kind);
    lane.sendHello(kind);
  }

  /** A failure counts at once; an orderly end when all that came before it was read. */
  #watchEnd(call: Call, kind: LaneKind): void {
    call.on('status', (given: StatusObject) => {
      if (given.code === status.OK) call.once('end', () => this.#left(kind));
      else this.#end(endOf(given));
    });
    // The status tells the same; without a listener the event would be thrown.
    call.on('error', () => undefined);
  }

  /** The peer ended a lane in order; on the other one there may be more to read before its end. */
  #left(kind: LaneKind): void {
    if (this.#isEnded) return;
    this.#lanes.get(kind)?.close(true);
    this.#lanes.delete(kind);
    if (this.#lanes.size === 0) {
      this.#end('left');
      return;
    }
    this.#isLeaving = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#end('left');
    }, this.#context.limits.helloTimeoutMs);
  }

  #greeted(kind: LaneKind, lane: Lane, hello: HelloFrame): Greeting | undefined {
    const fault = checkHello(hello, this.#context.cluster, this.#peer, () => true);
    if (fault !== undefined || hello.lane !== kind) {
      this.#context.counters.count('link_refusals', fault ?? 'bad_hello');
      this.#end('wrong_peer');
      return undefined;
    }
    this.#epoch = hello.epoch;
    const greeting = this.#greeting(kind, lane, hello);
    const waiting = [...this.#lanes.values()].some(
      (other) => other !== lane && other.greeting === undefined,
    );
    // The lane has its greeting only when this call returns.
    if (!waiting)
      queueMicrotask(() => {
        this.#cameUp();
      });
    return greeting;
  }

  #greeting(kind: LaneKind, lane: Lane, hello: HelloFrame): Greeting {
    if (kind === 'sip') return { kind };
    const { limits, counters, log } = this.#context;
    this.#exchanges = new AskedExchanges({
      outbox: lane.outbox,
      limits,
      counters,
      log,
      peerWindowBytes: hello.windowBytes,
      onClosed: this.#onExchangeClosed,
    });
    return { kind, exchanges: this.#exchanges };
  }

  #cameUp(): void {
    if (this.#isEnded || this.#isLeaving) return;
    clearTimeout(this.#timer);
    this.#isUp = true;
    this.#events.up();
  }

  #end(reason: ConnectionEnd): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const wasUp = this.#isUp;
    this.#isUp = false;
    clearTimeout(this.#timer);
    this.#events.ended(reason, wasUp);
    for (const lane of this.#lanes.values()) lane.close();
    for (const call of this.#calls) {
      if (reason === 'closed') call.end();
      else call.cancel();
    }
    this.#client.close();
  }
}

function endOf(given: { readonly code: status }): ConnectionEnd {
  switch (given.code) {
    case status.PERMISSION_DENIED:
    case status.RESOURCE_EXHAUSTED:
      return 'refused';
    default:
      return 'unreachable';
  }
}
