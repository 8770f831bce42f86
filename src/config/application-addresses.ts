import { isIP } from 'node:net';
import { canonicalHost, formatHostPort, parseHostPort } from './address.ts';
import type { ApplicationConfig, UpstreamSipConfig } from './config.ts';

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

/**
 * IP addresses that the SIP servers of an application send from, as far as the configuration tells:
 * a host that is a name is left out.
 */
export function applicationSources(application: ApplicationConfig): readonly string[] {
  if (application.kind !== 'upstream' || application.sip === undefined) return [];
  const { host, port, extraServerNodes } = application.sip;
  const nodes = extraServerNodes.map((node) => applicationNode(node, port).host);
  return [canonicalHost(host), ...nodes].filter((source) => isIP(source) !== 0);
}

/** One of `extraServerNodes`: its canonical address, and its port or `defaultPort`. */
export function applicationNode(node: string, defaultPort: number): { host: string; port: number } {
  const { host, port } = parseHostPort(node) ?? { host: node, port: defaultPort };
  return { host: canonicalHost(host), port };
}
