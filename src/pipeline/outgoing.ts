import {
  hash64,
  readUri,
  splitHostPort,
  uriParameter,
  type Refusal,
  type RouteUri,
  type SipMessage,
} from '../sip/index.ts';
import type { ListenerNames, SipNames, SipTransport } from './arrival.ts';
import { dialogTokenOf, type FlowToken } from './flow-token.ts';
import { defaultKey, digestOf } from './key.ts';
import type { PipelineOptions } from './ports.ts';
import { isForSips, rewriteOutgoing, schemeOf, type RewriteInput } from './rewrite.ts';
import type { SipDestination, SipTarget } from './sip-target.ts';
import type { Stamp } from './stamp.ts';
import type { InstanceView } from './view.ts';

/** A request that leaves the cluster. */
export interface OutgoingRequest extends RewriteInput {
  /** Instance whose application sent it; undefined when it came from outside for a flow of ours. */
  readonly sender: string | undefined;
}

/** Answers a request in the peer's name. */
export type Refuse = (request: OutgoingRequest, refusal: Refusal) => void;

/** The refusal of a request for a flow that is not there any more (RFC 5626 section 5.3). */
export const flowGone: Refusal = { status: 430, reason: 'Flow Failed', cause: 'flow-gone' };
const notRoutable: Refusal = {
  status: 416,
  reason: 'Unsupported URI Scheme',
  cause: 'outgoing-scheme',
};
// RFC 3261 section 16.9 and 16.7: a transport error counts as 503, which a proxy passes on as 500.
const unreachable: Refusal = { status: 500, reason: 'Unreachable', cause: 'outgoing-unreachable' };

const spoken: ReadonlySet<string> = new Set<SipTransport>(['UDP', 'TCP', 'TLS', 'WS', 'WSS']);

/** Sends a request to the client whose flow one of our Routes names (RFC 5626 section 5.3). */
export function sendToFlow(
  request: OutgoingRequest,
  token: FlowToken,
  options: PipelineOptions,
  refuse: Refuse,
): void {
  const { names, ports, counters } = options;
  const { transport, target } = token;
  const listener = names.listeners.find((each) => each.transport === transport);
  // A connection leads back by itself; what the Via names matters to a datagram's receiver alone.
  const address = listener?.advertised ?? names.publicAddress;
  const sentBy = options.viaNamesSprayer ? address : (listener?.own ?? address);
  // A server outside reaches the client by what it holds already; only an application is known otherwise.
  const isOutside = request.sender === undefined;
  const user = isOutside
    ? token.text
    : dialogTokenOf(token, request.message.callId, options.stamper);
  const face = {
    scheme: schemeOf(request),
    user,
    address,
    transport,
  };
  const final = rewriteOutgoing(
    request,
    stampOf(request),
    senderView(request, options),
    { transport, sentBy, face, attempt: 0 },
    options,
  );
  const isSent =
    token.peer === names.self
      ? ports.sendOnFlow(token.flow, target, final)
      : ports.relayToFlow(token.peer, token.flow, target, final);
  if (isSent) counters.count('sip_outgoing', 'flow');
  else if (isOutside || !isRedialled(request.message, transport)) refuse(request, flowGone);
  else sendOut(request, options, () => refuse(request, flowGone));
}

/**
 * Whether a request in a dialog is sent on a new connection when the one of its flow is gone: servers
 * close idle ones and can be dialled. A WebSocket client cannot (RFC 7118 section 5.2.4).
 */
export function isRedialled({ toTag }: SipMessage, transport: string): boolean {
  return toTag !== undefined && (transport === 'TCP' || transport === 'TLS');
}

/** Sends a request of the application to where its Route or Request-URI points (RFC 3263). */
export function sendOut(request: OutgoingRequest, options: PipelineOptions, refuse: Refuse): void {
  const destination = destinationOf(nextHopOf(request), isForSips(request));
  if (destination === undefined) return refuse(request, notRoutable);
  const { branch } = request.message.topVia ?? {};
  // The same for all of a transaction: its CANCEL and its ACK have the branch of the INVITE.
  const seed = hash64(`${branch ?? ''}${request.message.callId}`);
  options.ports.resolve(destination, seed, (targets) => {
    sendToFirst(request, targets, 0, options, refuse);
  });
}

/** To the first target that can be reached; each gets bytes of its own (RFC 3263 section 4.3). */
function sendToFirst(
  request: OutgoingRequest,
  targets: readonly SipTarget[],
  attempt: number,
  options: PipelineOptions,
  refuse: Refuse,
): void {
  const target = targets[attempt];
  if (target === undefined) return refuse(request, unreachable);
  const { ports, names, counters } = options;
  const listener = listenerFor(target, names);
  if (listener === undefined) {
    return sendToFirst(request, targets, attempt + 1, options, refuse);
  }
  const { advertised, own, transport } = listener;
  const final = rewriteOutgoing(
    request,
    stampOf(request),
    senderView(request, options),
    {
      transport,
      sentBy: options.viaNamesSprayer ? advertised : own,
      face: { scheme: schemeOf(request), user: '', address: advertised, transport },
      attempt,
    },
    options,
  );
  counters.count('sip_outgoing', attempt === 0 ? 'resolved' : 'next-target');
  ports.send(target, final, () => {
    sendToFirst(request, targets, attempt + 1, options, refuse);
  });
}

/** The listener whose names a request to this target bears: responses come back to it. */
function listenerFor(
  { transport, address }: SipTarget,
  { listeners }: SipNames,
): ListenerNames | undefined {
  const isV6 = address.includes(':');
  return (
    listeners.find((each) => each.transport === transport && each.isV6 === isV6) ??
    listeners.find((each) => each.transport === transport)
  );
}

/** The URI that says where a request goes next: the top Route that stays, else the Request-URI. */
export function nextHopOf({
  message,
  recognised,
}: Pick<OutgoingRequest, 'message' | 'recognised'>): RouteUri | undefined {
  const requestUri = recognised.requestUri ?? message.text.slice(message.uriStart, message.uriEnd);
  return recognised.nextRoute ?? readUri(requestUri);
}

/**
 * Where a URI's requests go.
 *
 * @param isSecured the request is for a SIPS resource, to which every hop is secured, whatever its Route
 *   says (RFC 3261 section 16.6 step 7)
 * @returns undefined for a URI that names no host of SIP
 */
export function destinationOf(
  uri: RouteUri | undefined,
  isSecured: boolean,
): SipDestination | undefined {
  if (uri === undefined || (uri.scheme !== 'sip' && uri.scheme !== 'sips')) return undefined;
  const parsed = splitHostPort(uri.hostPort);
  if (parsed === undefined) return undefined;
  const transport = uriParameter(uri.parameters, 'transport')?.toUpperCase();
  const maddr = uriParameter(uri.parameters, 'maddr');
  return {
    scheme: isSecured ? 'sips' : uri.scheme,
    host: (maddr ?? parsed.host).replace(/^\[|\]$/g, ''),
    port: parsed.port === undefined ? undefined : Number(parsed.port),
    transport:
      transport !== undefined && spoken.has(transport) ? (transport as SipTransport) : undefined,
  };
}

/**
 * What later messages of the dialog and the responses come back by: the sender's instance, and a key
 * of the dialog's own, so that the calls of a dead instance spread over all others.
 */
function stampOf({ message, recognised, sender }: OutgoingRequest): Stamp {
  const bekey =
    recognised.stamp?.bekey ?? digestOf(defaultKey(message.fromTag ?? '', message.callId));
  return { bekey, beroute: sender ?? recognised.stamp?.beroute ?? '' };
}

function senderView(
  { sender }: OutgoingRequest,
  options: PipelineOptions,
): InstanceView | undefined {
  return sender === undefined ? undefined : options.view().instances.get(sender);
}
