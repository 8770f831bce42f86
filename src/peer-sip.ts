import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { isWildcard } from './config/address.ts';
import { applicationSources, type Config } from './config/index.ts';
import type { Application } from './io/application/application.ts';
import type { UpstreamSip } from './io/application/upstream-sip.ts';
import { createUpstreamSip } from './io/application/upstream.ts';
import { SipResolver } from './io/dns/index.ts';
import type { LinkHandler, Links } from './io/link/index.ts';
import { EventLoopDelay, SipListeners } from './io/sip/index.ts';
import { Admission } from './pipeline/admission.ts';
import { sipNames, type Arrival, type SipTransport } from './pipeline/arrival.ts';
import type { Counters } from './pipeline/counters.ts';
import type { Dialogs } from './pipeline/dialogs.ts';
import type { Envelope } from './pipeline/envelope.ts';
import type { KeyDeriver } from './pipeline/key.ts';
import { Pipeline } from './pipeline/pipeline.ts';
import type { PipelinePorts } from './pipeline/ports.ts';
import type { ResponseTarget } from './pipeline/return-response.ts';
import type { Stamper } from './pipeline/stamp.ts';
import type { ClusterView } from './pipeline/view.ts';
import { TransactionMemory } from './sip/index.ts';

/** What the SIP side needs of the rest of the peer. */
export interface SipSideParts {
  readonly config: Config;
  readonly log: Logger;
  readonly counters: Counters;
  readonly stamper: Stamper;
  readonly keys: () => KeyDeriver;
  /** What operators say, or else the configuration. */
  readonly algorithm: () => Config['sip']['algorithm'];
  readonly view: () => ClusterView;
  readonly otherRingSeen: () => void;
  readonly isUnready: () => boolean;
  /** No other peer is known yet. */
  readonly isJoining: () => boolean;
  /** The links are closed, or about to be. */
  readonly isEnding: () => boolean;
  /** The calls of the instance here. */
  readonly dialogs: Dialogs;
  readonly links: () => Links;
  readonly application: () => Application;
  readonly numberKnown: (number: string) => Promise<void>;
}

/** What a link brings for the SIP side. */
type SipLinkHandler = Omit<LinkHandler, 'http'>;

/** The SIP side of a peer, put together: sockets, pipeline, memory, the application's socket. */
export class SipSide {
  /** Clients and other servers. */
  readonly listeners: SipListeners;
  /** The socket of an upstream application. */
  readonly upstream: UpstreamSip | undefined;
  readonly #parts: SipSideParts;
  readonly #memory: TransactionMemory;
  readonly #resolver: SipResolver;
  readonly #delay: EventLoopDelay;
  readonly #admission: Admission;
  #pipeline: Pipeline | undefined;

  constructor(parts: SipSideParts) {
    const { config, counters, log } = parts;
    const { sip } = config;
    this.#parts = parts;
    this.#memory = new TransactionMemory(undefined, (kind, entries) =>
      counters.count('transactions_forgotten', kind, entries),
    );
    const now = (): number => performance.now();
    this.#delay = new EventLoopDelay(sip.overload);
    this.#admission = new Admission({
      protection: {
        ...sip.protection,
        allow: [...sip.protection.allow, ...applicationSources(config.application)],
      },
      overload: sip.overload,
      isOverloaded: () => this.#delay.isOverloaded,
      counters,
    });
    this.listeners = new SipListeners({
      listeners: sip.listeners,
      ...(sip.publicAddress === undefined ? {} : { publicAddress: sip.publicAddress }),
      connections: sip.connections,
      unlimitedSources: sip.protection.allow,
      receive: (message, arrival) => this.#receive(message, arrival),
      counters,
      now,
      log,
    });
    this.upstream = this.#createUpstream(now);
    this.#resolver = this.#createResolver(now);
  }

  /** Binds the listeners. The application's socket is started with the application. */
  async start(): Promise<void> {
    await this.listeners.start();
    const { config, counters, stamper, keys, view, algorithm } = this.#parts;
    const { isUnready, otherRingSeen } = this.#parts;
    const { name, sip, stamps } = config;
    const names = this.listeners.bound.map((bound) => bound.names);
    this.#pipeline = new Pipeline({
      names: sipNames(name, sip.publicAddress, sip.aliases, [
        ...names,
        ...(this.upstream?.listeners ?? []),
      ]),
      stamper,
      counters,
      onInvalidStamp: stamps.onInvalid,
      algorithm,
      viaNamesSprayer: sip.useIpLoadBalancerAddressInViaHeaders,
      keys,
      view,
      isUnready,
      otherRingSeen,
      memory: this.#memory,
      now: () => performance.now(),
      refusesNew: () => this.#admission.refusesNew(),
      ignores: (message) => this.#admission.dropsUserAgent(message),
      ports: this.#ports(),
    });
    this.#delay.start();
  }

  async stop(): Promise<void> {
    this.#delay.stop();
    this.#resolver.close();
    await this.listeners.stop();
  }

  /** A response that the application here wrote. */
  receiveResponse(message: Buffer): void {
    this.#parts.dialogs.response(message, performance.now());
    this.#pipeline?.receiveResponse(message);
  }

  /** What comes over links; nothing before {@link start}. */
  readonly handler: SipLinkHandler = {
    sipRequest: (message, envelope) => this.#pipeline?.receiveRelayed(message, envelope),
    sipResponse: (message) => this.#pipeline?.receiveResponse(message),
    toApplication: (message) => {
      if (this.#deliverResponse(message)) return;
      this.#parts.counters.count('sip_drops', 'application-lost');
    },
    toFlow: (message, flow, target) => {
      if (!this.listeners.sendOnFlow(flow, target, message)) this.#pipeline?.flowGone(message);
    },
    note: (transaction, assignment) => this.#pipeline?.noteArrived(transaction, assignment),
    ask: (transaction, claim) => this.#pipeline?.questionArrived(transaction, claim),
  };

  /**
   * While this peer knows no other, or has closed its links, it could only refuse what other peers
   * can serve: what it drops comes again by retransmission and then mostly elsewhere.
   */
  #receive(message: Buffer, arrival: Arrival): void {
    const { isEnding, isJoining } = this.#parts;
    const isSilent = isEnding() || (isJoining() && arrival.transport === 'UDP');
    if (isSilent) this.#parts.counters.count('sip_drops', 'not-serving');
    else if (this.#admission.admits(message, arrival, performance.now())) {
      this.#pipeline?.receive(message, arrival);
    }
  }

  /** Looks up only what a listener here can send to. */
  #createResolver(now: () => number): SipResolver {
    const { config, counters, log } = this.#parts;
    const { listeners, dns } = config.sip;
    const outside = listeners.filter(({ type }) => type !== 'internal');
    const dialled = outside.filter(({ transport }) => transport !== 'ws' && transport !== 'wss');
    return new SipResolver({
      ...dns,
      transports: new Set(dialled.map(({ transport }) => transport.toUpperCase() as SipTransport)),
      families: [...new Set(dialled.flatMap(({ address }) => familiesOf(address)))],
      counters,
      now,
      defect: (error) => log.error({ err: error }, 'a request met a defect and was dropped'),
    });
  }

  #createUpstream(now: () => number): UpstreamSip | undefined {
    const { config, counters, log } = this.#parts;
    const { application, sip } = config;
    if (application.kind !== 'upstream' || application.sip === undefined) return undefined;
    return createUpstreamSip({
      ...application.sip,
      local: sip.internal,
      advertise: sip.internal.advertise,
      counters,
      now,
      log,
      request: (message, arrival) => this.#requestOfApplication(message, arrival),
      response: (message) => this.receiveResponse(message),
      refused: (message) => this.#pipeline?.refuse(message),
    });
  }

  #ports(): PipelinePorts {
    const { links, config, log, numberKnown } = this.#parts;
    const isHere = (instance: string): boolean => instance === config.name;
    return {
      deliver: (message, envelope) => this.#deliver(message, envelope),
      isSilent: (instance) => !isHere(instance) && links().isSilent(instance),
      relayResponse: (peer, message) => links().sendSipResponse(peer, message),
      deliverResponse: (instance, message) =>
        isHere(instance)
          ? this.#deliverResponse(message)
          : links().sendToApplication(instance, message),
      answer: (flow, target) => this.#answer(flow, target),
      sendOnFlow: (flow, target, message) => this.listeners.sendOnFlow(flow, target, message),
      relayToFlow: (peer, flow, target, message) => links().sendToFlow(peer, flow, target, message),
      resolve: (destination, seed, found) => this.#resolver.resolve(destination, seed, found),
      send: (target, message, failed) => this.listeners.send(target, message, failed),
      note: (peer, transaction, assignment) => links().sendNote(peer, transaction, assignment),
      ask: (questions, answered) => links().ask(questions, answered),
      numberKnown,
      defect: (error) => log.error({ err: error }, 'a message met a defect and was dropped'),
    };
  }

  #deliver(message: Buffer, envelope: Envelope): boolean {
    const { config, application, dialogs, links } = this.#parts;
    const { instance } = envelope;
    if (instance === config.name) {
      dialogs.request(message, performance.now());
      return application().deliverSip(message, envelope);
    }
    return links().sendSipRequest(instance, message, envelope);
  }

  #answer(flow: string, target: ResponseTarget): void {
    if (!flow.startsWith('a')) return this.listeners.answer(flow, target);
    this.#parts.dialogs.response(target.message, performance.now());
    this.#parts.application().answer(flow, target);
  }

  /** What an upstream application sends, requests above all; a response may come in on a flow as well. */
  #requestOfApplication(message: Buffer, arrival: Arrival): void {
    this.#parts.dialogs.request(message, performance.now());
    this.#pipeline?.receive(message, arrival);
  }

  #deliverResponse(message: Buffer): boolean {
    const { dialogs, application } = this.#parts;
    dialogs.response(message, performance.now());
    return application().deliverResponse(message);
  }
}

/** Address families that a socket bound here can send to; one on all of IPv6 speaks both. */
function familiesOf(address: string): readonly (4 | 6)[] {
  if (!isIPv6(address)) return [4];
  return isWildcard(address) ? [6, 4] : [6];
}
