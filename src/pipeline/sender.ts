import { splitHostPort, type SipMessage } from '../sip/index.ts';
import { isOwn, type Arrival, type SipNames } from './arrival.ts';
import type { ClusterView } from './view.ts';

/**
 * The instance whose application sent a request, or undefined when it came from outside. What an
 * application sends comes in on a socket of its own; on a listener for everybody it is known by its
 * address: of a datagram the source, of a stream the source's host and the Via that names the server.
 */
export function applicationOf(
  message: SipMessage,
  arrival: Arrival,
  view: ClusterView,
): string | undefined {
  const { listener, transport, address, port } = arrival;
  if (listener.type === 'external') return undefined;
  if (listener.type === 'internal' || view.applications.size > 0) {
    const host = address.includes(':') ? `[${address}]` : address;
    const known = view.applications.get(
      transport === 'UDP' ? `${host}:${port}` : sentByAt(host, message),
    );
    if (known !== undefined) return known;
  }
  return listener.type === 'internal' ? view.self : undefined;
}

/** Sent-by of the top Via where its host is this one; a name there is no proof. */
function sentByAt(host: string, message: SipMessage): string {
  const via = message.topVia;
  return via?.host === host ? `${host}:${via.port ?? 5060}` : '';
}

/**
 * Whether a request's next hop is the cluster itself or an application that is or was in it: the
 * request does not leave.
 */
export function staysInside(
  hostPort: string,
  names: SipNames,
  { applications, departed }: ClusterView,
): boolean {
  const address = withPort(hostPort);
  return applications.has(address) || departed.has(address) || isOwn(names, hostPort);
}

/** `host:port` as instances announce it. */
function withPort(hostPort: string): string {
  const parsed = splitHostPort(hostPort);
  if (parsed === undefined) return hostPort;
  return `${parsed.host.toLowerCase()}:${parsed.port ?? 5060}`;
}
