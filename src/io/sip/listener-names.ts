import { formatHostPort, isWildcard, parseHostPort } from '../../config/address.ts';
import type { SipListenerConfig } from '../../config/config.ts';
import type { ListenerNames, SipTransport } from '../../pipeline/arrival.ts';

type ListenerTransport = SipListenerConfig['transport'];

/** As a Via names it. */
export const viaTransports: Readonly<Record<ListenerTransport, SipTransport>> = {
  udp: 'UDP',
  tcp: 'TCP',
  tls: 'TLS',
  ws: 'WS',
  wss: 'WSS',
};

/** First letter of the names of its flows. */
export const flowLetters: Readonly<Record<ListenerTransport, string>> = {
  udp: 'u',
  tcp: 't',
  tls: 's',
  ws: 'w',
  wss: 'x',
};

/**
 * Names of a listener that is bound. A wildcard address names nobody, so such a listener is known by
 * its advertised name alone.
 *
 * @param port the one that was bound
 * @param publicAddress the sprayer's `host:port`, which is not for listeners of applications
 */
export function listenerNames(
  listener: SipListenerConfig,
  port: number,
  publicAddress: string | undefined,
): ListenerNames {
  const { type, transport, address } = listener;
  const bound = formatHostPort(address, port);
  const shown = type === 'internal' ? undefined : publicName(transport, port, publicAddress);
  const advertised = listener.advertise ?? shown ?? bound;
  return {
    type,
    transport: viaTransports[transport],
    advertised,
    own: isWildcard(address) ? advertised : bound,
    isV6: address.includes(':'),
  };
}

/** The public address has the port of UDP and TCP; other listeners are found at it by their own. */
function publicName(
  transport: ListenerTransport,
  port: number,
  publicAddress: string | undefined,
): string | undefined {
  if (publicAddress === undefined || transport === 'udp' || transport === 'tcp') {
    return publicAddress;
  }
  const parsed = parseHostPort(publicAddress);
  return parsed && formatHostPort(parsed.host, port);
}
