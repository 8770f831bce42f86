import { HeaderId, readRouteUri, routeValues, type SipMessage } from '../../src/sip/index.ts';
import { recordRoutes } from './dialog.ts';
import type { SimulatedPeer } from './peer.ts';
import { describeHop, type Hop } from './trace.ts';

/** What an audit needs to know beside the trace. */
export interface Audited {
  readonly hops: readonly Hop[];
  readonly peers: ReadonlyMap<string, Pick<SimulatedPeer, 'appName'>>;
  /** When an instance ceased, or ceased to serve its dialogs; undefined: it did not. */
  readonly endedAt: (instance: string) => number | undefined;
  /** When an instance was disabled: from then on its dialogs go to a successor. */
  readonly disabledAt: (instance: string) => number | undefined;
}

/** One rule that was broken. */
export interface AuditFault {
  readonly callId: string;
  readonly text: string;
}

/**
 * Checks every hop against the rules that a proxy owes (RFC 3261 section 16) and against this
 * project's own: a message never at a wrong instance, never more than two links.
 *
 * @returns one for each fault, its text with the hop
 */
export function audit(audited: Audited): AuditFault[] {
  return new Audit(audited).run();
}

type Direction = 'inward' | 'outward';

class Audit {
  readonly #audited: Audited;
  readonly #apps: ReadonlySet<string>;
  readonly #faults: AuditFault[] = [];
  /** Requests as their clients sent them, by transaction and method. */
  readonly #sources = new Map<string, SipMessage>();
  readonly #arrivals = new Map<string, number>();
  /** Requests as we passed them on, by transaction and method. */
  readonly #passed = new Map<string, SipMessage[]>();
  readonly #branches = new Map<string, string>();
  readonly #transactions = new Map<string, string>();
  readonly #bytes = new Map<string, string>();
  /** Instance that has a call. */
  readonly #homes = new Map<string, string>();
  /** Instances that the requests of a transaction came to: its ACK may belong to each of them. */
  readonly #reached = new Set<string>();
  readonly #linkRequests = new Map<string, number>();
  readonly #responses = new Map<string, number>();
  readonly #linkResponses = new Map<string, number>();

  constructor(audited: Audited) {
    this.#audited = audited;
    this.#apps = new Set([...audited.peers.values()].map(({ appName }) => appName));
  }

  run(): AuditFault[] {
    for (const hop of this.#audited.hops) {
      if (hop.message === undefined) continue;
      if (hop.message.isRequest) this.#onRequest(hop, hop.message);
      else this.#onResponse(hop, hop.message);
    }
    this.#countLinks();
    return this.#faults;
  }

  #onRequest(hop: Hop, message: SipMessage): void {
    const isPeerSending = this.#audited.peers.has(hop.from);
    if (hop.leg === 'link') this.#onLinkRequest(hop, message);
    else if (!isPeerSending) this.#onSource(hop, message);
    else this.#onPassed(hop, message, hop.leg === 'application' ? 'inward' : 'outward');
  }

  /** A client's own request on its way to a peer. */
  #onSource(hop: Hop, message: SipMessage): void {
    const name = requestName(message, 0);
    const known = this.#sources.get(name);
    if (known !== undefined && !known.bytes.equals(message.bytes)) {
      this.#fault(hop, 'the client itself changed its request');
    }
    this.#sources.set(name, message);
    this.#arrivals.set(name, (this.#arrivals.get(name) ?? 0) + 1);
    if (this.#apps.has(hop.from)) this.#homes.set(message.callId, hop.from.replace(/-app$/, ''));
  }

  /** A request that a peer gave to its application or sent outside. */
  #onPassed(hop: Hop, message: SipMessage, direction: Direction): void {
    const name = requestName(message, 1);
    const source = this.#sources.get(name);
    if (source === undefined) return this.#fault(hop, 'a request that no client sent');
    this.#passed.set(name, [...(this.#passed.get(name) ?? []), message]);
    this.#compare(hop, message, source);
    this.#checkBranch(hop, message, direction);
    this.#checkBytes(hop, message, name);
    if (direction === 'inward') this.#checkInstance(hop, message);
  }

  #compare(hop: Hop, message: SipMessage, source: SipMessage): void {
    const [, ...below] = viasOf(message);
    this.#same(hop, 'the Vias below ours', below, viasOf(source));
    for (const name of ['From', 'To', 'Call-ID', 'CSeq', 'Contact']) {
      this.#same(hop, name, message.headers(name), source.headers(name));
    }
    const forwards = Number(message.header('Max-Forwards'));
    if (forwards !== Number(source.header('Max-Forwards')) - 1) {
      this.#fault(hop, 'Max-Forwards is not one less');
    }
    const records = recordRoutes(message);
    const received = recordRoutes(source);
    const added = records.slice(0, records.length - received.length);
    this.#same(hop, 'Record-Route of others', records.slice(added.length), received);
    const makesDialog = message.method === 'INVITE' && message.toTag === undefined;
    if (makesDialog === (added.length === 0)) {
      this.#fault(hop, `${added.length} Record-Route values were added`);
    }
    if (added.some((value) => readRouteUri(value)?.isLoose !== true)) {
      this.#fault(hop, 'our Record-Route has no lr');
    }
    const routes = routeValues(message, HeaderId.route).map(({ text }) => text);
    if (routes.some((route) => route.includes('besig='))) {
      this.#fault(hop, 'our own Route was passed on');
    }
  }

  /** RFC 3261 section 16.11: one branch a transaction on each leg, and no other has it. */
  #checkBranch(hop: Hop, message: SipMessage, direction: Direction): void {
    const branch = `${direction} ${message.topVia?.branch ?? ''}`;
    const transaction = `${direction} ${message.callId} ${message.cseqNumber} ${branchAt(message, 1)}`;
    const known = this.#branches.get(transaction);
    if (known !== undefined && known !== branch) this.#fault(hop, 'a second branch');
    const other = this.#transactions.get(branch);
    if (other !== undefined && other !== transaction) this.#fault(hop, `the branch of ${other}`);
    this.#branches.set(transaction, branch);
    this.#transactions.set(branch, transaction);
  }

  /** A retransmission is the same through any peer but for the way back in our Via. */
  #checkBytes(hop: Hop, message: SipMessage, name: string): void {
    const key = `${hop.leg} ${hop.to} ${name}`;
    const text = withoutWayBack(message);
    const known = this.#bytes.get(key);
    if (known !== undefined && known !== text) {
      this.#fault(hop, `other bytes than the first time:\n${firstDifference(known, text)}`);
    }
    this.#bytes.set(key, known ?? text);
  }

  /** A call stays with its instance until that one ends; a disabled one gives up its dialogs. */
  #checkInstance(hop: Hop, message: SipMessage): void {
    const { envelope, from: instance } = hop;
    if (envelope !== undefined && envelope.instance !== instance) {
      this.#fault(hop, `meant for ${envelope.instance}`);
    }
    const transaction = `${message.callId} ${message.cseqNumber} ${instance}`;
    const isAnswerOf = message.method === 'ACK' && this.#reached.has(transaction);
    if (message.method !== 'ACK') this.#reached.add(transaction);
    const home = this.#homes.get(message.callId);
    if (home === undefined) {
      this.#homes.set(message.callId, instance);
      return;
    }
    if (home === instance || isAnswerOf) return;
    const { endedAt, disabledAt } = this.#audited;
    const isOver = (endedAt(home) ?? Infinity) <= hop.atMs;
    const isGivenUp =
      message.toTag !== undefined &&
      message.method !== 'ACK' &&
      (disabledAt(home) ?? Infinity) <= hop.atMs;
    if (!isOver && !isGivenUp) this.#fault(hop, `at a wrong instance: the call is ${home}'s`);
  }

  #onLinkRequest(hop: Hop, message: SipMessage): void {
    const { envelope, from, to, fate } = hop;
    if (fate === 'refused' || envelope === undefined) return;
    if (envelope.hop === 0) this.#fault(hop, 'a link was crossed and not counted');
    if (envelope.hop === 1 && envelope.ingressPeer !== from) {
      this.#fault(hop, `passed on by ${from}, which decides nothing`);
    }
    if (envelope.hop < 2 && envelope.instance !== to) {
      this.#fault(hop, `meant for ${envelope.instance}`);
    }
    const name = requestName(message, 1);
    this.#linkRequests.set(name, (this.#linkRequests.get(name) ?? 0) + 1);
  }

  #onResponse(hop: Hop, message: SipMessage): void {
    const isPeerSending = this.#audited.peers.has(hop.from);
    const name = responseName(message, hop.leg === 'link' || !isPeerSending ? 1 : 0);
    if (hop.leg === 'link') {
      // On its second link a response to an application has lost our Via already.
      const counted = viasOf(message).length > 1 ? name : responseName(message, 0);
      if (hop.fate !== 'refused') {
        this.#linkResponses.set(counted, (this.#linkResponses.get(counted) ?? 0) + 1);
      }
      return;
    }
    if (isPeerSending) return this.#onAnswered(hop, message);
    this.#responses.set(name, (this.#responses.get(name) ?? 0) + 1);
    this.#onResponseSource(hop, message);
  }

  /** What a server sends has the Vias of a request that it got. */
  #onResponseSource(hop: Hop, message: SipMessage): void {
    const passed = this.#passed.get(`${message.cseqMethod} ${transactionAt(message, 1)}`) ?? [];
    const isKnown = passed.some((request) => isSame(viasOf(request), viasOf(message)));
    if (!isKnown) this.#fault(hop, 'the response to a request that never came');
  }

  /** What a client gets has its own Vias and nothing else: each was popped by who pushed it. */
  #onAnswered(hop: Hop, message: SipMessage): void {
    const source = this.#sources.get(`${message.cseqMethod} ${transactionAt(message, 0)}`);
    if (source === undefined) return this.#fault(hop, 'the response to no request');
    const isFailedOver = this.#apps.has(hop.to) && this.#homes.get(message.callId) !== hop.from;
    const [vias, expected] = [viasOf(message), viasOf(source)];
    if (isFailedOver) this.#same(hop, 'the number of Vias', [vias.length], [expected.length]);
    else this.#same(hop, 'the Vias', vias, expected);
    for (const name of ['From', 'Call-ID', 'CSeq']) {
      this.#same(hop, name, message.headers(name), source.headers(name));
    }
    this.#checkRecordRoute(hop, message);
  }

  #checkRecordRoute(hop: Hop, message: SipMessage): void {
    const { status, cseqMethod, fromTag } = message;
    if (cseqMethod !== 'INVITE' || status <= 100 || status >= 300 || fromTag === undefined) return;
    const requests = this.#passed.get(`INVITE ${transactionAt(message, 0)}`) ?? [];
    const records = recordRoutes(message);
    if (!requests.some((request) => isSame(recordRoutes(request), records))) {
      this.#fault(hop, 'the Record-Route is not the one of the request');
    }
  }

  /** Architecture: at most two links for a message. */
  #countLinks(): void {
    for (const [name, links] of this.#linkRequests) {
      const arrivals = this.#arrivals.get(name) ?? 0;
      if (links > 2 * arrivals) this.#tooManyLinks(name, links, arrivals);
    }
    for (const [name, links] of this.#linkResponses) {
      const sent = this.#responses.get(name) ?? 0;
      if (links > 2 * sent) this.#tooManyLinks(name, links, sent);
    }
  }

  #tooManyLinks(name: string, links: number, messages: number): void {
    this.#faults.push({ callId: '', text: `${links} links for ${messages} × ${name}` });
  }

  #same(hop: Hop, what: string, actual: readonly unknown[], expected: readonly unknown[]): void {
    if (isSame(actual, expected)) return;
    this.#fault(hop, `${what}: ${actual.join(' | ')} instead of ${expected.join(' | ')}`);
  }

  #fault(hop: Hop, text: string): void {
    this.#faults.push({ callId: hop.subject, text: `${describeHop(hop)}\n            ${text}` });
  }
}

/** A client's transaction, named by the Via that the client pushed: the top one or the one below. */
function transactionAt(message: SipMessage, via: 0 | 1): string {
  return `${message.callId} ${message.cseqNumber} ${branchAt(message, via)}`;
}

function requestName(message: SipMessage, via: 0 | 1): string {
  return `${message.method} ${transactionAt(message, via)}`;
}

function responseName(message: SipMessage, via: 0 | 1): string {
  return `${message.status} to ${message.cseqMethod} ${transactionAt(message, via)}`;
}

function branchAt(message: SipMessage, via: 0 | 1): string {
  return /;branch=([^;\s]*)/.exec(message.headers('Via')[via] ?? '')?.[1] ?? '';
}

/** Vias from top to bottom, without what receivers note in them. */
function viasOf(message: SipMessage): string[] {
  return message
    .headers('Via')
    .map((via) => via.replace(/;received=[^;\s]*/g, '').replace(/;rport=\d+/g, ';rport'));
}

/** The text of a request with all that may differ between two peers taken out of our Via. */
function withoutWayBack(message: SipMessage): string {
  const via = message.topVia;
  if (via === undefined) return message.text;
  const own = message.text.slice(via.start, via.end).replace(/;(felb|connid|besig)=[^;\s]*/g, '');
  return message.text.slice(0, via.start) + own + message.text.slice(via.end);
}

function firstDifference(first: string, second: string): string {
  const lines = second.split('\r\n');
  const at = first.split('\r\n').findIndex((line, index) => line !== lines[index]);
  return `            ${first.split('\r\n')[at] ?? ''}\n            ${lines[at] ?? ''}`;
}

function isSame(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
