import { z } from 'zod';
import type { SipConfig } from './config.ts';
import { configDefaults, configLimits, sipDefaults } from './defaults.ts';
import { serverTls } from './tls-schema.ts';
import {
  filePath,
  hostOrHostPort,
  hostPort,
  ipAddress,
  ipPort,
  milliseconds,
  network,
  pattern,
  port,
} from './values.ts';

/** Where a transport is expected without a port (RFC 3261 section 19.1.2, RFC 7118 section 7). */
const defaultPorts = {
  udp: configDefaults.sipPort,
  tcp: configDefaults.sipPort,
  tls: sipDefaults.tlsPort,
  ws: sipDefaults.wsPort,
  wss: sipDefaults.wssPort,
} as const;

const userAgentStart = pattern(
  /^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/u,
  'is no begin of a User-Agent; use 1 to 64 printable ASCII characters without spaces around them',
);

const listener = z
  .strictObject({
    transport: z.enum(['udp', 'tcp', 'tls', 'ws', 'wss']).describe('transport protocol'),
    address: ipAddress.default('127.0.0.1').describe('IP address to listen on'),
    port: port
      .exactOptional()
      .describe(
        `port; 0 takes any free one; by default ${defaultPorts.udp} (udp, tcp), ${defaultPorts.tls} (tls), ${defaultPorts.ws} (ws), ${defaultPorts.wss} (wss)`,
      ),
    type: z
      .enum(['default', 'internal', 'external'])
      .default('default')
      .describe('whom it serves: everybody, the applications alone, or the outside alone'),
    advertise: z
      .exactOptional(hostPort)
      .describe('host:port that clients see for it; by default made of `sip.publicAddress`'),
    proxyProtocol: z
      .array(network)
      .max(configLimits.proxySourcesMax)
      .default([])
      .describe('sources that must begin a connection with a PROXY header; others may not'),
    tls: z.exactOptional(serverTls).describe('certificates; for `tls` and `wss` alone'),
  })
  .transform((given) => ({ ...given, port: given.port ?? defaultPorts[given.transport] }));

const internal = z.strictObject({
  address: ipAddress.default('127.0.0.1').describe('IP address to listen on'),
  port: port.default(configDefaults.sipInternalPort).describe('port; 0 takes any free one'),
  advertise: z
    .exactOptional(hostPort)
    .describe('host:port that the application sends to; by default the address listened on'),
});

const connections = z.strictObject({
  idleMs: milliseconds(1_000, 86_400_000)
    .default(sipDefaults.connectionIdleMs)
    .describe('a connection without traffic is closed after this long'),
  lifetimeMs: milliseconds(0, 604_800_000)
    .default(sipDefaults.connectionLifetimeMs)
    .describe('a connection is closed at its first quiet moment after this long; 0: never'),
  perSourceMax: z
    .int()
    .min(1)
    .max(configLimits.connectionsPerSourceMax)
    .default(sipDefaults.connectionsPerSource)
    .describe('connections of one source address at one time'),
  serverCa: z
    .exactOptional(filePath)
    .describe(
      'PEM file of the authorities for TLS servers that requests go to; by default those of Node',
    ),
});

const dns = z.strictObject({
  servers: z
    .array(ipPort)
    .max(configLimits.nameServersMax)
    .default([])
    .describe('ip:port of name servers; by default those of the system'),
  timeoutMs: milliseconds(10, 30_000)
    .default(sipDefaults.dnsTimeoutMs)
    .describe('longest wait for one answer'),
});

const protection = z
  .strictObject({
    requestsPerSecond: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(sipDefaults.requestsPerSecond)
      .describe('requests of one source address (IPv6: its /64); 0: no limit'),
    burst: z
      .int()
      .min(1)
      .max(1_000_000)
      .exactOptional()
      .describe('requests that one source may send at once; by default those of two seconds'),
    allow: z
      .array(network)
      .max(configLimits.allowedSourcesMax)
      .default([])
      .describe('addresses and networks that no limit binds'),
    droppedUserAgents: z
      .array(userAgentStart)
      .max(configLimits.droppedUserAgentsMax)
      .default([])
      .describe(
        'requests whose User-Agent begins with one of these get no answer; case is ignored',
      ),
  })
  .transform((given) => ({
    ...given,
    burst: given.burst ?? Math.max(1, given.requestsPerSecond * sipDefaults.burstSeconds),
  }));

const overload = z.strictObject({
  eventLoopDelayMs: milliseconds(0, 10_000)
    .default(sipDefaults.eventLoopDelayMs)
    .describe('above this delay of the event loop new dialogs are refused; 0: never'),
  retryAfterSeconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(sipDefaults.retryAfterSeconds)
    .describe('told to clients with 503'),
});

/** The part of the file below `sip`. */
export const sip: z.ZodType<SipConfig, Record<string, unknown>> = z.strictObject({
  publicAddress: z
    .exactOptional(hostPort)
    .describe('host:port of the cluster as clients see it; written into Record-Route and Path'),
  useIpLoadBalancerAddressInViaHeaders: z
    .boolean()
    .default(false)
    .describe(
      'requests that leave name the public address in Via, so that any peer may get the response',
    ),
  aliases: z
    .array(hostOrHostPort)
    .max(configLimits.aliasesOfPeerMax)
    .default([])
    .describe('further host or host:port in Route and Request-URI that mean this cluster'),
  algorithm: z
    .enum(['consistent-hash', 'round-robin'])
    .default('consistent-hash')
    .describe('how an initial request that no rule gives a key finds its instance'),
  listeners: z
    .array(listener)
    .max(configLimits.listenersMax)
    .prefault([])
    .describe('where SIP from outside arrives'),
  internal: internal
    .prefault({})
    .describe('UDP and TCP address that the upstream application answers and sends to'),
  connections: connections.prefault({}).describe('limits of TCP, TLS and WebSocket connections'),
  dns: dns.prefault({}).describe('how names in URIs are resolved (RFC 3263)'),
  protection: protection.prefault({}).describe('what keeps one source from using up a peer'),
  overload: overload.prefault({}).describe('when new dialogs are refused with 503'),
});
