/** How a SIP message came in from outside. */
export interface Arrival {
  readonly transport: 'UDP' | 'TCP';
  /** Source address without brackets. */
  readonly address: string;
  readonly port: number;
  /**
   * Names the flow at its ingress peer, for the answer: listener, and for a stream its connection.
   * Made of token characters, so that it can stand in a Via parameter.
   */
  readonly flow: string;
}

/** Names under which the outside knows this cluster. */
export interface SipNames {
  /** This peer. */
  readonly self: string;
  /** `host:port` that Record-Route and Path name: the sprayer's, or the peer's own without one. */
  readonly publicAddress: string;
  /** Lower-case `host:port` of every address that is ours: public, aliases, listeners. */
  readonly own: ReadonlySet<string>;
}

/**
 * @param publicAddress the sprayer's `host:port`; undefined: clients see the first listener
 * @param aliases further `host` (then with port 5060) or `host:port` that mean this cluster
 * @param listeners `host:port` of this peer's listeners, those on all addresses left out
 */
export function sipNames(
  self: string,
  publicAddress: string | undefined,
  aliases: readonly string[],
  listeners: readonly string[],
): SipNames {
  const own = new Set<string>();
  for (const name of [
    ...listeners,
    ...aliases,
    ...(publicAddress === undefined ? [] : [publicAddress]),
  ]) {
    const lower = bracketed(name.toLowerCase());
    own.add(lower);
    if (!/:\d+$/.test(lower)) own.add(`${lower}:5060`);
  }
  return { self, publicAddress: publicAddress ?? listeners[0] ?? '', own };
}

/** As URIs write it: an IPv6 address stands in brackets. */
function bracketed(host: string): string {
  const isBareV6 = !host.startsWith('[') && host.indexOf(':') !== host.lastIndexOf(':');
  return isBareV6 ? `[${host}]` : host;
}

/** Whether a URI's `host` or `host:port` is one of ours; without a port 5060 is meant. */
export function isOwn(names: SipNames, hostPort: string): boolean {
  const lower = hostPort.toLowerCase();
  if (names.own.has(lower)) return true;
  const hasPort = /:\d+$/.test(lower);
  return !hasPort && names.own.has(`${lower}:5060`);
}
