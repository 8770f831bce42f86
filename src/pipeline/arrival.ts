/** Transports of SIP as a Via names them. */
export type SipTransport = 'UDP' | 'TCP' | 'TLS' | 'WS' | 'WSS';

/**
 * Whom a listener serves. `default`: everybody. `external`: the outside alone. `internal`: the
 * applications alone.
 */
export type ListenerType = 'default' | 'internal' | 'external';

/** Under which names a listener appears in messages; one object a listener, shared by its arrivals. */
export interface ListenerNames {
  readonly type: ListenerType;
  readonly transport: SipTransport;
  /** `host:port` that clients see in Record-Route and Path: the sprayer's, or `own` without one. */
  readonly advertised: string;
  /** `host:port` of this very socket, for the Via of requests that leave here. */
  readonly own: string;
  /** Whether it speaks IPv6. */
  readonly isV6: boolean;
}

/** How a SIP message came in from outside. */
export interface Arrival {
  readonly transport: SipTransport;
  /** Source address without brackets. */
  readonly address: string;
  readonly port: number;
  /**
   * Names the flow at its ingress peer, for the answer: listener, and for a stream its connection.
   * Made of token characters, so that it can stand in a Via parameter. Its first letter tells the
   * kind: `u` UDP, `t` TCP, `s` TLS, `w` WS, `x` WSS from outside; `a` a socket of the application.
   */
  readonly flow: string;
  readonly listener: ListenerNames;
}

/** Names under which the outside knows this cluster. */
export interface SipNames {
  /** This peer. */
  readonly self: string;
  /** `host:port` that Record-Route and Path name: the sprayer's, or the peer's own without one. */
  readonly publicAddress: string;
  /** Lower-case `host:port` of every address that is ours: public, aliases, listeners. */
  readonly own: ReadonlySet<string>;
  /** Listeners that serve the outside, in the order of the configuration. */
  readonly listeners: readonly ListenerNames[];
}

/**
 * @param publicAddress the sprayer's `host:port`; undefined: clients see the first listener
 * @param aliases further `host` (then with port 5060) or `host:port` that mean this cluster
 * @param listeners names of this peer's listeners
 */
export function sipNames(
  self: string,
  publicAddress: string | undefined,
  aliases: readonly string[],
  listeners: readonly ListenerNames[],
): SipNames {
  const own = new Set<string>();
  const outside = listeners.filter(({ type }) => type !== 'internal');
  for (const name of [
    ...listeners.flatMap((listener) => [listener.own, listener.advertised]),
    ...aliases,
    ...(publicAddress === undefined ? [] : [publicAddress]),
  ]) {
    const lower = bracketed(name.toLowerCase());
    own.add(lower);
    if (!/:\d+$/.test(lower)) own.add(`${lower}:5060`);
  }
  return {
    self,
    publicAddress: publicAddress ?? outside[0]?.advertised ?? '',
    own,
    listeners: outside,
  };
}

/** As URIs write it: an IPv6 address stands in brackets. */
function bracketed(host: string): string {
  const isBareV6 = !host.startsWith('[') && host.indexOf(':') !== host.lastIndexOf(':');
  return isBareV6 ? `[${host}]` : host;
}

/** Whether a URI's `host` or `host:port` is one of ours; without a port 5060 is meant. */
export function isOwn(names: SipNames, hostPort: string): boolean {
  if (names.own.has(hostPort)) return true;
  const lower = hostPort.toLowerCase();
  if (names.own.has(lower)) return true;
  const hasPort = /:\d+$/.test(lower);
  return !hasPort && names.own.has(`${lower}:5060`);
}
