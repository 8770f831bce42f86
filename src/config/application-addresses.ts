import { canonicalHost, formatHostPort, parseHostPort } from './address.ts';
import type { UpstreamSipConfig } from './config.ts';

/**
 * `host:port` of all SIP servers of an upstream application, the main one first: lower case, IPv6
 * in brackets and in its shortest form, as sockets report it. An extra node without a port has the
 * main one's.
 */
export function applicationAddresses(sip: UpstreamSipConfig): readonly string[] {
  return [
    formatHostPort(canonicalHost(sip.host), sip.port),
    ...sip.extraServerNodes.map((node) => {
      const { host, port } = applicationNode(node, sip.port);
      return formatHostPort(host, port);
    }),
  ];
}

/** One of `extraServerNodes`: its canonical address, and its port or `defaultPort`. */
export function applicationNode(node: string, defaultPort: number): { host: string; port: number } {
  const { host, port } = parseHostPort(node) ?? { host: node, port: defaultPort };
  return { host: canonicalHost(host), port };
}
