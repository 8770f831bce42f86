import { z } from 'zod';
import type { HttpConfig, UpstreamHttpConfig } from './config.ts';
import {
  configDefaults,
  configLimits,
  httpDefaults,
  httpLimits,
  httpSessionCookies,
  httpTimeouts,
} from './defaults.ts';
import { serverTls } from './tls-schema.ts';
import {
  absolutePath,
  cookieName,
  host,
  hostPort,
  ipAddress,
  jvmRoute,
  milliseconds,
  network,
  parameterName,
  port,
} from './values.ts';

const day = 86_400_000;

const listener = z
  .strictObject({
    address: ipAddress.default('127.0.0.1').describe('IP address to listen on'),
    port: port
      .exactOptional()
      .describe(
        `port; 0 takes any free one; by default ${configDefaults.httpPort}, with \`tls\` ${httpDefaults.tlsPort}`,
      ),
    tls: z.exactOptional(serverTls).describe('certificates; makes it HTTPS'),
    http2: z
      .boolean()
      .exactOptional()
      .describe(
        'HTTP/2 beside HTTP/1.1: offered by ALPN with `tls`, there by default; in clear text for clients that begin with it, if asked for',
      ),
    proxyProtocol: z
      .array(network)
      .max(configLimits.proxySourcesMax)
      .default([])
      .describe('sources that must begin a connection with a PROXY header; others may not'),
    redirectToHttpsPort: z
      .exactOptional(port.min(1))
      .describe('every request is answered with the same URL under https at this port'),
  })
  .transform((given) => ({
    ...given,
    port: given.port ?? (given.tls === undefined ? configDefaults.httpPort : httpDefaults.tlsPort),
    http2: given.http2 ?? given.tls !== undefined,
  }));

const cookies = z.strictObject({
  bekey: cookieName.default('BEKEY').describe('name of the cookie that carries the key digest'),
  beroute: cookieName.default('BEROUTE').describe('name of the cookie that carries the instance'),
  path: absolutePath.default('/').describe('Path attribute'),
  domain: z.exactOptional(host).describe('Domain attribute; by default none'),
  secure: z.boolean().default(false).describe('Secure attribute; needs HTTPS in front'),
  sameSite: z.enum(['Lax', 'Strict', 'None']).default('Lax').describe('SameSite attribute'),
  maxAgeSeconds: z
    .exactOptional(z.int().min(1).max(34_560_000))
    .describe('Max-Age attribute; by default none: the cookies end with the browser'),
  issue: z
    .enum(['session', 'always'])
    .default('session')
    .describe('set the cookies when a response makes a session, or with every response'),
  sessionCookies: z
    .array(cookieName)
    .max(configLimits.sessionCookiesMax)
    .default([...httpSessionCookies])
    .describe('cookies of the application whose appearance means a new session'),
});

const connections = z.strictObject({
  max: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(httpLimits.connectionsMax)
    .describe('client connections of one listener at one time'),
  perSourceMax: z
    .int()
    .min(1)
    .max(configLimits.connectionsPerSourceMax)
    .default(httpDefaults.connectionsPerSource)
    .describe(
      'client connections of one source (an IPv4 address, a /64 of IPv6) at one time; `trustedProxies` have any number',
    ),
  streamsMax: z
    .int()
    .min(1)
    .max(10_000)
    .default(httpDefaults.streamsPerConnection)
    .describe('requests of one HTTP/2 connection at one time'),
});

const timeouts = z.strictObject({
  headMs: milliseconds(250, day)
    .default(httpTimeouts.headMs)
    .describe("from the first byte of a request's head to its last; above it 408"),
  bodyMs: milliseconds(250, day)
    .default(httpTimeouts.bodyMs)
    .describe("between two pieces of a request's body; above it 408"),
  idleMs: milliseconds(250, day)
    .default(httpTimeouts.idleMs)
    .describe('a kept client connection without a request'),
  responseMs: milliseconds(250, day)
    .default(httpTimeouts.responseMs)
    .describe('from the whole request to the head of its response; above it 504'),
  writeMs: milliseconds(250, day)
    .default(httpTimeouts.writeMs)
    .describe('a client that takes no bytes of its response'),
  tunnelIdleMs: milliseconds(0, 7 * day)
    .default(httpTimeouts.tunnelIdleMs)
    .describe('a tunnel (WebSocket) through which nothing passes either way; 0: for ever'),
  requestMs: milliseconds(0, 7 * day)
    .default(httpTimeouts.requestMs)
    .describe('a whole exchange, from head to the end of the response; 0: for ever'),
});

const retries = z.strictObject({
  attemptsMax: z
    .int()
    .min(1)
    .max(8)
    .default(httpDefaults.attemptsMax)
    .describe('instances that one request is offered to, the first included'),
  budgetPercent: z
    .int()
    .min(0)
    .max(100)
    .default(httpDefaults.retryBudgetPercent)
    .describe('further offers as a share of all requests; some are always free'),
});

/** The part of the file below `http`. */
export const http: z.ZodType<HttpConfig, Record<string, unknown>> = z.strictObject({
  listeners: z
    .array(listener)
    .max(configLimits.listenersMax)
    .prefault([])
    .describe('where HTTP from outside arrives'),
  contextRoots: z
    .array(
      z.strictObject({
        path: absolutePath.describe('begin of the request target; the longest that fits decides'),
        kind: z
          .enum(['web', 'converged'])
          .describe('`web`: sticky round robin; `converged`: the rules choose, with SIP'),
      }),
    )
    .max(configLimits.contextRootsMax)
    .default([{ path: '/', kind: 'converged' }])
    .describe('kind of application under a path'),
  cookies: cookies.prefault({}).describe('the stamp of HTTP sessions'),
  affinityKeys: z
    .array(parameterName)
    .max(configLimits.affinityKeysMax)
    .default([])
    .describe('URL parameters whose value is the key, the first that is there; before the rules'),
  jvmRoute: z
    .exactOptional(jvmRoute)
    .describe(
      'what the application here writes behind the last dot of its session ids; unsigned, so a client can choose among instances that have one',
    ),
  unavailableHost: z
    .exactOptional(
      z.strictObject({
        host: hostPort.describe('host:port of an HTTP server'),
        mode: z
          .enum(['redirect', 'proxy'])
          .default('redirect')
          .describe('clients are sent there, or requests are'),
      }),
    )
    .describe('where requests go when no instance is left; by default nowhere, 503'),
  trustedProxies: z
    .array(network)
    .max(configLimits.trustedProxiesMax)
    .default([])
    .describe('addresses or networks whose X-Forwarded-* and Forwarded headers are believed'),
  traceparent: z
    .boolean()
    .default(true)
    .describe('a request without `traceparent` (W3C Trace Context) gets one'),
  connections: connections.prefault({}).describe('limits of client connections'),
  timeouts: timeouts.prefault({}).describe('times that clients have'),
  retries: retries.prefault({}).describe('how often a request is offered'),
});

const upstreamTimeouts = z.strictObject({
  connectMs: milliseconds(10, day).default(httpTimeouts.upstreamConnectMs).describe('TCP connect'),
  queueMs: milliseconds(250, day)
    .default(httpTimeouts.upstreamQueueMs)
    .describe('waiting for a free connection; above it 504'),
  responseMs: milliseconds(250, day)
    .default(httpTimeouts.upstreamResponseMs)
    .describe('from the whole request to the head of the response; above it 504'),
  bodyMs: milliseconds(250, day)
    .default(httpTimeouts.upstreamBodyMs)
    .describe("between two pieces of the response's body"),
  idleMs: milliseconds(250, day)
    .default(httpTimeouts.upstreamIdleMs)
    .describe("a kept connection without a request; below the server's own limit"),
});

const ejection = z.strictObject({
  failures: z
    .int()
    .min(0)
    .max(1_000)
    .default(httpDefaults.ejectionFailures)
    .describe('requests in a row without connection or response; 0: never ejected'),
  baseMs: milliseconds(100, day)
    .default(httpDefaults.ejectionBaseMs)
    .describe('the first pause; each further one is twice as long'),
  maxMs: milliseconds(100, day).default(httpDefaults.ejectionMaxMs).describe('the longest pause'),
});

/** The part of the file below `application.http`. */
export const upstreamHttp: z.ZodType<UpstreamHttpConfig, Record<string, unknown>> = z.strictObject({
  host: host.describe('host of the HTTP server'),
  port: port.min(1).default(configDefaults.httpPort).describe('its port'),
  protocol: z
    .enum(['http1', 'http2'])
    .default('http1')
    .describe('what it speaks: HTTP/1.1, or HTTP/2 in clear text by prior knowledge (gRPC)'),
  connectionsMax: z
    .int()
    .min(1)
    .max(65_536)
    .default(httpLimits.upstreamConnectionsMax)
    .describe('connections to it'),
  queueMax: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(httpLimits.upstreamQueueMax)
    .describe('requests that wait for one of them; above it 503'),
  timeouts: upstreamTimeouts.prefault({}).describe('times that it has'),
  ejection: ejection
    .prefault({})
    .describe('when it gets no requests for a while because it keeps failing'),
});
