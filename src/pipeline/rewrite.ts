import {
  Edits,
  hash64,
  hasMagicCookie,
  HeaderId,
  parameterTexts,
  type RouteValue,
  type SipMessage,
  type Via,
} from '../sip/index.ts';
import type { Arrival, SipNames, SipTransport } from './arrival.ts';
import { dialogToken, pathToken } from './flow-token.ts';
import { defaultKey, digestOf } from './key.ts';
import { createsDialog, recordRoute, routeValue, type Face } from './record-route.ts';
import type { Readdress } from './readdress.ts';
import type { Recognised } from './recognise.ts';
import { stampText, type Stamp, type Stamper } from './stamp.ts';
import type { InstanceView } from './view.ts';

/** Max-Forwards of a request that has none (RFC 3261 section 16.6 step 3). */
const maxForwardsDefault = 70;

/** A request that found its instance. */
export interface RewriteInput {
  readonly message: SipMessage;
  readonly arrival: Arrival;
  readonly recognised: Recognised;
  /** Instance whose application sent it; undefined: it came from outside. */
  readonly sender?: string | undefined;
  /** The Route that named an instance which serves no more. */
  readonly readdress?: Readdress;
}

/** Under which names and signatures the peer writes. */
export interface RewriteTools {
  readonly names: SipNames;
  readonly stamper: Stamper;
}

/**
 * Makes the final bytes of a request for one instance, as RFC 3261 section 16.6 asks a proxy to:
 * source noted in the client's Via, Max-Forwards counted down, our Routes gone, Record-Route or
 * Path added with the stamp, our Via on top. All that is added is a function of the message and the
 * instance, so a retransmission gets the same bytes through any peer but for `felb` and `connid`.
 */
export function rewriteRequest(
  input: RewriteInput,
  stamp: Stamp,
  instance: InstanceView,
  tools: RewriteTools,
): Buffer {
  const { sipTransport: transport, sipInternal: sentBy } = instance;
  const home = homeStamp(input) ?? stamp;
  const wayBack = routeBack(input, stamp, home, instance, tools);
  return rewrite(input, home, { transport, sentBy, attempt: 0 }, wayBack, tools);
}

/**
 * What leads back to the application that sent a request to another one: the responses when its peer
 * is gone, and the requests of the one that is called.
 */
function homeStamp({ message, sender }: RewriteInput): Stamp | undefined {
  if (sender === undefined) return undefined;
  return { bekey: digestOf(defaultKey(message.fromTag ?? '', message.callId)), beroute: sender };
}

/** The hop that a request of the application takes out of the cluster. */
export interface OutgoingLeg {
  readonly transport: SipTransport;
  /** `host:port` that our Via names. */
  readonly sentBy: string;
  /** Our face towards the client, with the token of its flow if there is one. */
  readonly face: Face;
  /** Counts the targets tried before: each gets a branch of its own (RFC 3263 section 4.3). */
  readonly attempt: number;
}

/**
 * Makes the final bytes of a request that leaves the cluster.
 *
 * @param instance whose application sent it; undefined where the sender is outside, too
 */
export function rewriteOutgoing(
  input: RewriteInput,
  stamp: Stamp,
  instance: InstanceView | undefined,
  leg: OutgoingLeg,
  tools: RewriteTools,
): Buffer {
  const { message } = input;
  const sender = instance === undefined ? undefined : innerFace(instance);
  const wayBack = createsDialog(message)
    ? recordRoute(sender, leg.face, signedDialog(stamp, message, tools))
    : '';
  return rewrite(input, stamp, leg, wayBack, tools);
}

/** What both directions have in common. */
function rewrite(
  { message, arrival, recognised, readdress }: RewriteInput,
  stamp: Stamp,
  { transport, sentBy, attempt }: Pick<OutgoingLeg, 'transport' | 'sentBy' | 'attempt'>,
  wayBack: string,
  { names, stamper }: RewriteTools,
): Buffer {
  const via = message.topVia;
  if (via === undefined) throw new Error('A request without a usable Via is not routed');
  const edits = new Edits(message);
  const way = { ingressPeer: names.self, flow: arrival.flow };
  const signed = signedStamp(stamp, stamper.signVia(stamp, way, message.callId));
  const ourVia =
    `Via: SIP/2.0/${transport} ${sentBy};branch=${branchOf(message, via, attempt)}` +
    `;felb=${names.self};connid=${arrival.flow};${signed}\r\n`;
  edits.insert(message.headersStart, ourVia + wayBack);
  editRouting(edits, message, recognised);
  if (readdress !== undefined) edits.replace(readdress.start, readdress.end, readdress.text);
  noteSource(edits, via, arrival);
  countHop(edits, message);
  if (transport !== 'UDP') stateLength(edits, message);
  return edits.toBuffer();
}

function signedStamp(stamp: Stamp, signature: string): string {
  return `bekey=${stamp.bekey};beroute=${stamp.beroute};besig=${signature}`;
}

function signedDialog(stamp: Stamp, { callId }: SipMessage, { stamper }: RewriteTools): string {
  return signedStamp(stamp, stamper.signDialog(stamp, callId));
}

/** Record-Route where a dialog may begin, Path where a registration asks for it (RFC 3327 section 5.2). */
function routeBack(
  input: RewriteInput,
  stamp: Stamp,
  home: Stamp,
  instance: InstanceView,
  tools: RewriteTools,
): string {
  const { message } = input;
  if (message.method === 'REGISTER') return path(input, stamp, tools);
  if (!createsDialog(message)) return '';
  const inner = innerFace(instance);
  const signed = signedDialog(stamp, message, tools);
  // A single value has to lead to the instance; of two, the one towards an application leads to that.
  const isOneStamp = inner === undefined || home === stamp;
  const signedHome = isOneStamp ? signed : signedDialog(home, message, tools);
  return recordRoute(outerFace(input, tools), inner, signed, signedHome);
}

/** Our face towards the client; on a stream it names the connection, which alone leads back to it. */
function outerFace(input: RewriteInput, { names, stamper }: RewriteTools): Face {
  const { message, arrival, sender } = input;
  const { transport, listener } = arrival;
  const isReachable = transport === 'UDP' || sender !== undefined;
  const user = isReachable ? '' : dialogToken(names.self, arrival, message.callId, stamper);
  return { scheme: schemeOf(input), user, address: listener.advertised, transport };
}

/** The address of the peer beside an upstream application; an embedded one needs none. */
function innerFace(instance: InstanceView): Face | undefined {
  if (instance.applications.length === 0) return undefined;
  const { sipInternal: address, sipTransport: transport } = instance;
  return { scheme: 'sip', user: '', address, transport };
}

/** RFC 3261 section 16.6 step 4: a request for a SIPS URI, or with such a Route, is recorded with one. */
export function schemeOf(request: Pick<RewriteInput, 'message' | 'recognised'>): 'sip' | 'sips' {
  return isForSips(request) || request.recognised.nextRoute?.scheme === 'sips' ? 'sips' : 'sip';
}

/** Whether a request's resource is one of SIPS, however it is routed to it. */
export function isForSips({
  message,
  recognised,
}: Pick<RewriteInput, 'message' | 'recognised'>): boolean {
  const { text, uriStart } = message;
  // Ahead of a strict router the Request-URI stands in the last Route.
  const resource = recognised.appendedRoute ?? recognised.requestUri;
  const scheme = resource?.slice(0, 5) ?? text.slice(uriStart, uriStart + 5);
  return scheme.toLowerCase() === 'sips:';
}

/** The Path of a registration. It names the flow where no other way leads to the client (RFC 5626). */
function path(input: RewriteInput, stamp: Stamp, tools: RewriteTools): string {
  const { message, arrival, sender } = input;
  const { names, stamper } = tools;
  const supported = message.headers('supported').map((tag) => tag.toLowerCase());
  if (!supported.includes('path')) return '';
  const signed = signedStamp(stamp, stamper.sign('path', stampText(stamp)));
  const { transport, listener } = arrival;
  const isOutbound = supported.includes('outbound');
  const isReachable = sender !== undefined || (transport === 'UDP' && !isOutbound);
  const user = isReachable ? '' : pathToken(names.self, arrival, stamper);
  // RFC 5626 section 5.1: only the first hop of a client vouches for its flow.
  const isFirstHop = message.headers('via').length === 1;
  const outbound = isOutbound && isFirstHop ? 'ob;' : '';
  const face = { scheme: schemeOf(input), user, address: listener.advertised, transport };
  return `Path: ${routeValue(face, `${outbound}${signed}`)}\r\n`;
}

/**
 * RFC 3261 section 16.11: a function of what a retransmission, a CANCEL and the ACK to a non-2xx
 * share with their request, the same at every peer.
 */
function branchOf(message: SipMessage, via: Via, attempt: number): string {
  const { callId, cseqNumber } = message;
  const identity = hasMagicCookie(via)
    ? `${via.branch}\n${callId}\n${cseqNumber}`
    : identityWithoutCookie(message, via);
  return `z9hG4bKsr${hash64(attempt === 0 ? identity : `${identity}\n${attempt}`)}`;
}

/**
 * For clients of RFC 2543. An INVITE, its CANCEL and the ACK to its failure must agree, and of these
 * the ACK alone has a To tag; in other methods the tag tells apart the dialogs of one forked INVITE.
 */
function identityWithoutCookie(message: SipMessage, via: Via): string {
  const { method, callId, cseqNumber, fromTag = '', toTag = '', requestUri } = message;
  const isOfInvite = method === 'INVITE' || method === 'ACK' || method === 'CANCEL';
  const parts = [via.sentBy + via.parameters, isOfInvite ? '' : toTag, fromTag, callId];
  return [...parts, cseqNumber, requestUri].join('\n');
}

function editRouting(edits: Edits, message: SipMessage, recognised: Recognised): void {
  if (recognised.requestUri !== undefined) {
    edits.replace(message.uriStart, message.uriEnd, recognised.requestUri);
  }
  removeRoutes(edits, message, recognised);
  if (recognised.appendedRoute !== undefined) {
    const last = lastRouteLine(message);
    edits.insert(message.lineEnd(last), `Route: <${recognised.appendedRoute}>\r\n`);
  }
}

/** Removes whole lines where all their values go, else the values with their commas. */
function removeRoutes(edits: Edits, message: SipMessage, { removed }: Recognised): void {
  // Only behind a strict router the last value comes first.
  const inOrder = isAscending(removed) ? removed : removed.toSorted((a, b) => a.start - b.start);
  for (let from = 0; from < inOrder.length;) {
    const { line } = inOrder[from]!;
    let to = from + 1;
    while (inOrder[to]?.line === line) to++;
    removeFromLine(edits, message, line, inOrder.slice(from, to));
    from = to;
  }
}

function isAscending(values: readonly RouteValue[]): boolean {
  return values.every(({ start }, index) => index === 0 || values[index - 1]!.start < start);
}

function removeFromLine(
  edits: Edits,
  message: SipMessage,
  line: number,
  gone: readonly RouteValue[],
): void {
  const isWhole =
    gone[0]!.start === message.valueStart(line) &&
    gone.at(-1)!.nextStart === undefined &&
    isContiguous(gone);
  if (isWhole) return edits.remove(message.lineStart(line), message.lineEnd(line));
  for (const value of gone) {
    // With its own comma, or at the line's end with the one before it.
    if (value.nextStart !== undefined) edits.remove(value.start, value.nextStart);
    else edits.remove(value.start - 1, value.end);
  }
}

function isContiguous(values: readonly RouteValue[]): boolean {
  return values.every(
    (value, index) => index === 0 || values[index - 1]!.nextStart === value.start,
  );
}

function lastRouteLine(message: SipMessage): number {
  let last = message.line(HeaderId.route);
  for (let next = last; next >= 0; next = message.line(HeaderId.route, next + 1)) last = next;
  return last;
}

/**
 * `received` and `rport` in the client's Via (RFC 3261 section 18.2.1, RFC 3581 section 4). What the
 * client itself wrote as `received` goes: answers must not follow it.
 */
export function noteSource(edits: Edits, via: Via, arrival: Arrival): void {
  const isRportEmpty = via.rport === '' && via.rportNameEnd < 0;
  if (via.received !== undefined || isRportEmpty) {
    edits.replace(via.parametersStart, via.end, noted(via.parameters, arrival));
    return;
  }
  if (via.rportNameEnd >= 0) {
    edits.insert(via.rportNameEnd, `=${arrival.port}`);
    edits.insert(via.end, `;received=${arrival.address}`);
  } else if (bare(via.host) !== arrival.address) {
    edits.insert(via.end, `;received=${arrival.address}`);
  }
}

function noted(parameters: string, arrival: Arrival): string {
  const kept = parameterTexts(parameters)
    .filter((parameter) => !/^\s*received\s*(=|$)/i.test(parameter))
    .map((parameter) =>
      /^\s*rport\s*=?\s*$/i.test(parameter) ? `rport=${arrival.port}` : parameter,
    );
  return `${kept.join(';')};received=${arrival.address}`;
}

/**
 * RFC 3261 section 20.14: on a stream the length must be stated. Without it the body would be taken
 * for the next message, and a client could write that one.
 */
export function stateLength(edits: Edits, message: SipMessage): void {
  if (message.line(HeaderId.contentLength) >= 0) return;
  edits.insert(message.bodyStart - 2, `Content-Length: ${message.body.length}\r\n`);
}

function bare(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

function countHop(edits: Edits, message: SipMessage): void {
  const line = message.line(HeaderId.maxForwards);
  if (line < 0) {
    edits.insert(message.headersStart, `Max-Forwards: ${maxForwardsDefault}\r\n`);
    return;
  }
  const left = Number(message.latin1(line)) - 1;
  edits.replace(message.valueStart(line), message.valueEnd(line), String(left));
}
