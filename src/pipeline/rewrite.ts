import { Edits, hash64, HeaderId, type RouteValue, type SipMessage, type Via } from '../sip/index.ts';
import type { Arrival, SipNames } from './arrival.ts';
import type { Recognised } from './recognise.ts';
import { stampText, type Stamp, type Stamper } from './stamp.ts';
import type { InstanceView } from './view.ts';

/** Methods that never make a dialog (RFC 3261 section 16.6 step 4); unknown ones may. */
const dialogless: ReadonlySet<string> = new Set([
  'ACK',
  'BYE',
  'CANCEL',
  'INFO',
  'MESSAGE',
  'OPTIONS',
  'PRACK',
  'PUBLISH',
  'REGISTER',
  'UPDATE',
]);

/** Max-Forwards of a request that has none (RFC 3261 section 16.6 step 3). */
const maxForwardsDefault = 70;

/** A request that found its instance. */
export interface RewriteInput {
  readonly message: SipMessage;
  readonly arrival: Arrival;
  readonly recognised: Recognised;
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
  { message, arrival, recognised }: RewriteInput,
  stamp: Stamp,
  instance: InstanceView,
  { names, stamper }: RewriteTools,
): Buffer {
  const via = message.topVia;
  if (via === undefined) throw new Error('A request without a usable Via is not routed');
  const edits = new Edits(message);
  const signed = signedStamp(stamp, stamper.signDialog(stamp, message.callId));
  const ourVia =
    `Via: SIP/2.0/${instance.sipTransport} ${instance.sipInternal};branch=${branchOf(message, via)}` +
    `;felb=${names.self};connid=${arrival.flow};${signed}\r\n`;
  const wayBack = routeBack(message, arrival, stamp, signed, { names, stamper });
  edits.insert(message.headersStart, ourVia + wayBack);
  editRouting(edits, message, recognised);
  noteSource(edits, via, arrival);
  countHop(edits, message);
  if (instance.sipTransport === 'TCP') stateLength(edits, message);
  return edits.toBuffer();
}

function signedStamp(stamp: Stamp, signature: string): string {
  return `bekey=${stamp.bekey};beroute=${stamp.beroute};besig=${signature}`;
}

/** Record-Route where a dialog may begin, Path where a registration asks for it (RFC 3327 section 5.2). */
function routeBack(
  message: SipMessage,
  arrival: Arrival,
  stamp: Stamp,
  signed: string,
  { names, stamper }: RewriteTools,
): string {
  const transport =
    arrival.transport === 'UDP' ? '' : `;transport=${arrival.transport.toLowerCase()}`;
  if (message.method === 'REGISTER') {
    if (!message.headers('supported').some((tag) => tag.toLowerCase() === 'path')) return '';
    const path = signedStamp(stamp, stamper.sign('path', stampText(stamp)));
    return `Path: <sip:${names.publicAddress}${transport};lr;${path}>\r\n`;
  }
  if (dialogless.has(message.method) || message.toTag !== undefined) return '';
  return `Record-Route: <sip:${names.publicAddress}${transport};lr;${signed}>\r\n`;
}

/**
 * RFC 3261 section 16.11: a function of what a retransmission, a CANCEL and the ACK to a non-2xx
 * share with their request, the same at every peer.
 */
function branchOf(message: SipMessage, via: Via): string {
  const { callId, cseqNumber } = message;
  const identity = via.branch?.startsWith('z9hG4bK')
    ? `${via.branch}\n${callId}\n${cseqNumber}`
    : `${via.sentBy}${via.parameters}\n${message.toTag ?? ''}\n${message.fromTag ?? ''}\n${callId}\n${cseqNumber}\n${message.requestUri}`;
  return `z9hG4bKsr${hash64(identity)}`;
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
  if (removed.length === 0) return;
  if (removed.length === 1) return removeFromLine(edits, message, removed[0]!.line, removed);
  for (const line of new Set(removed.map((value) => value.line))) {
    const gone = removed.filter((value) => value.line === line);
    removeFromLine(
      edits,
      message,
      line,
      gone.toSorted((a, b) => a.start - b.start),
    );
  }
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
  const kept = parameters
    .split(';')
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
