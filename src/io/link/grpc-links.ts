import { Server } from '@grpc/grpc-js';
import { parseHostPort } from '../../config/address.ts';
import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { Question } from '../../pipeline/ports.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';
import { AcceptedLinks } from './accepted-links.ts';
import { Asks } from './asks.ts';
import { DialledLink } from './dialled-link.ts';
import type { Lane, LaneContext } from './lane.ts';
import type { LinkPeer, Links } from './link.ts';
import { defaultLimits } from './options.ts';
import type { LinkOptions } from './options.ts';
import { relayMethod, serverOptions } from './service.ts';
import { isFlowTarget } from './sip-frames.ts';
import { isLoopback, plaintextTrust, readTlsTrust } from './trust.ts';
import type { Trust } from './trust.ts';

/** Links over gRPC, as docs/link.md describes. */
export class GrpcLinks implements Links {
  readonly #context: LaneContext;
  readonly #server: Server;
  readonly #dialled = new Map<string, DialledLink>();
  #peers: ReadonlyMap<string, LinkPeer> = new Map();
  #trust: Trust = plaintextTrust;
  #accepted: AcceptedLinks | undefined;
  #port = 0;
  #isStopped = false;
  #whenIdle: (() => void) | undefined;

  constructor(options: LinkOptions) {
    const limits = { ...defaultLimits, ...options.limits };
    const asks = new Asks(limits, options.counters, options.log);
    this.#context = { ...options, limits, asks };
    this.#server = new Server(serverOptions(this.#context.limits));
  }

  /** Address that the server listens on. */
  get address(): string {
    return this.#context.listen.address;
  }

  /** Port that the server listens on; 0 before `start`. */
  get port(): number {
    return this.#port;
  }

  /**
   * Binds the server side. Rejects when the address cannot be bound, a TLS file cannot be read, or
   * plaintext is asked for off loopback without `insecure`.
   */
  async start(): Promise<void> {
    const { tls, insecure, listen, limits } = this.#context;
    if (tls === undefined && insecure !== true && !isLoopback(listen.address)) {
      throw new Error(
        `links on ${listen.address} need TLS: peers elsewhere could inject requests (or say "insecure")`,
      );
    }
    if (tls !== undefined) this.#trust = await readTlsTrust(tls, limits.certificateRefreshMs);
    const accepted = new AcceptedLinks(this.#context, this.#trust, {
      goodbye: (peer) => this.#dialled.get(peer)?.leaving(),
      exchangeClosed: this.#exchangeClosed,
    });
    accepted.setMembers(this.#peers);
    this.#accepted = accepted;
    this.#server.addService(
      { Relay: relayMethod },
      {
        Relay: (call: Parameters<AcceptedLinks['relay']>[0]) => {
          accepted.relay(call);
        },
      },
    );
    const host = listen.address.includes(':') ? `[${listen.address}]` : listen.address;
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`${host}:${listen.port}`, this.#trust.server(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#dialAll();
  }

  setPeers(peers: readonly LinkPeer[]): void {
    const linkable = peers.filter((peer) => isDialable(peer.address));
    this.#context.counters.count('link_failures', 'bad_address', peers.length - linkable.length);
    this.#peers = new Map(linkable.map((peer) => [peer.name, peer]));
    this.#accepted?.setMembers(this.#peers);
    for (const [name, link] of this.#dialled) {
      const peer = this.#peers.get(name);
      if (peer !== undefined) {
        link.update(peer);
      } else {
        this.#dialled.delete(name);
        link.close();
      }
    }
    if (this.#accepted !== undefined) this.#dialAll();
  }

  isUp(peer: string): boolean {
    return this.#dialled.get(peer)?.isUp === true;
  }

  isSilent(peer: string): boolean {
    return this.#dialled.get(peer)?.isSilent === true;
  }

  sendSipRequest(peer: string, message: Buffer, envelope: Envelope): boolean {
    const link = this.#dialled.get(peer);
    const lane = link?.isUp === true ? link.sip : undefined;
    if (lane !== undefined) return lane.outbox.sipRequest(message, envelope);
    this.#context.counters.count('link_sip_drops', 'not_up');
    return false;
  }

  /** Goes back on the lane that the peer sends its requests on, so that it meets no other link. */
  sendSipResponse(peer: string, message: Buffer): boolean {
    const lane = this.#accepted?.sip(peer) ?? this.#dialled.get(peer)?.sip;
    if (lane !== undefined) return lane.outbox.sipResponse(message);
    this.#context.counters.count('link_sip_drops', 'not_up');
    return false;
  }

  sendToApplication(peer: string, message: Buffer): boolean {
    const lane = this.#laneTo(peer);
    if (lane !== undefined) return lane.outbox.toApplication(message);
    this.#context.counters.count('link_sip_drops', 'not_up');
    return false;
  }

  sendToFlow(peer: string, flow: string, target: SipTarget | undefined, message: Buffer): boolean {
    const { counters, limits } = this.#context;
    const lane = this.#laneTo(peer);
    const isNamed = flow !== '' && flow.length <= limits.flowCharactersMax;
    if (!isNamed || (target !== undefined && !isFlowTarget(target))) {
      counters.count('link_sip_drops', 'bad_flow');
      return false;
    }
    if (lane === undefined) {
      counters.count('link_sip_drops', 'not_up');
      return false;
    }
    return lane.outbox.toFlow(message, flow, target);
  }

  sendNote(peer: string, transaction: string, assignment: Assignment): void {
    const lane = this.#laneTo(peer);
    if (lane === undefined) this.#context.counters.count('link_note_drops', 'not_up');
    else lane.outbox.note(transaction, assignment);
  }

  ask(
    questions: readonly Question[],
    answered: (assignment: Assignment | undefined) => void,
  ): void {
    this.#context.asks.ask(questions, (peer) => this.#laneTo(peer), answered);
  }

  openHttp(
    peer: string,
    request: RequestHead,
    envelope: Envelope,
    response: ResponseReceiver,
  ): RequestReceiver | undefined {
    const link = this.#dialled.get(peer);
    const exchanges = link?.isUp === true ? link.exchanges : undefined;
    if (exchanges !== undefined) return exchanges.ask(request, envelope, response);
    this.#context.counters.count('link_http_refusals', 'not_up');
    return undefined;
  }

  /** `deadlineMs` counts from the call. Rejects nothing; after it the links are of no use. */
  async stop(deadlineMs: number, asking: Promise<void> = Promise.resolve()): Promise<void> {
    const endMs = performance.now() + deadlineMs;
    for (const link of this.#dialled.values()) link.sip?.sendGoodbye();
    this.#accepted?.sayGoodbye();
    await this.#idle(deadlineMs, asking);
    this.#isStopped = true;
    for (const link of this.#dialled.values()) link.close();
    this.#dialled.clear();
    this.#accepted?.close();
    await this.#shutServer(endMs - performance.now());
  }

  /**
   * The lane for what only this peer can take, such as the memory of a transaction: also while the peer
   * is avoided or leaves.
   */
  #laneTo(peer: string): Lane | undefined {
    return this.#dialled.get(peer)?.sip ?? this.#accepted?.sip(peer);
  }

  #dialAll(): void {
    if (this.#isStopped) return;
    for (const [name, peer] of this.#peers) {
      if (this.#dialled.has(name)) continue;
      const link = new DialledLink(this.#context, this.#trust, peer, this.#exchangeClosed);
      this.#dialled.set(name, link);
    }
  }

  #exchangeCount(): number {
    let count = this.#accepted?.exchangeCount ?? 0;
    for (const link of this.#dialled.values()) count += link.exchanges?.count ?? 0;
    return count;
  }

  readonly #exchangeClosed = (): void => {
    if (this.#whenIdle !== undefined && this.#exchangeCount() === 0) this.#whenIdle();
  };

  /** Resolves when no exchange runs nor will, at the latest at the deadline. */
  async #idle(deadlineMs: number, asking: Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      const idle = (): void => {
        clearTimeout(timer);
        resolve();
      };
      const askedAll = (): void => {
        this.#whenIdle = idle;
        this.#exchangeClosed();
      };
      asking.then(askedAll, askedAll);
    });
  }

  async #shutServer(deadlineMs: number): Promise<void> {
    if (this.#port === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(
        () => {
          this.#server.forceShutdown();
          resolve();
        },
        Math.max(deadlineMs, 0),
      );
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/**
 * What a member tells may be anything. gRPC takes URIs of many schemes and throws on some texts; without
 * a port it would dial its default one. A member that tells no address has no link.
 */
function isDialable(address: string): boolean {
  const parsed = parseHostPort(address);
  return parsed !== undefined && parsed.port > 0;
}
