import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Config, ConfigWorld } from '../../src/config/index.ts';
import { formatProblem, parseConfig } from '../../src/config/index.ts';

const demo = 'application: { kind: embedded, module: demo }\n';

function accepted(text: string): Config {
  const world: ConfigWorld = { hostname: 'h', env: {}, readFile: () => new Uint8Array() };
  const result = parseConfig(text, '/etc/sailring/peer.yaml', world);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.config;
}

describe('the configuration of HTTP', () => {
  for (const [given, port, http2] of [
    ['{}', 8_080, false],
    ['{ http2: true, port: 0 }', 0, true],
    ['{ tls: { certificate: a, key: b } }', 8_443, true],
    ['{ tls: { certificate: a, key: b }, port: 443, http2: false }', 443, false],
  ] as const)
    it(`listens with ${given} on port ${port}, ${http2 ? 'with' : 'without'} HTTP/2`, () => {
      const [listener] = accepted(`${demo}http: { listeners: [${given}] }`).http.listeners;
      assert.equal(listener?.port, port);
      assert.equal(listener.http2, http2);
    });

  it('takes every key there is', () => {
    const { http, application } = accepted(`
http:
  listeners:
    - { address: '::1', port: 80, proxyProtocol: [10.0.0.0/8], redirectToHttpsPort: 443 }
    - address: '::1'
      tls:
        certificate: a.pem
        key: a.key
        servers: [{ name: '*.b.example', certificate: b.pem, key: b.key }]
        clientCa: ca.pem
  contextRoots: [{ path: /app, kind: web }]
  cookies: { bekey: K, beroute: R, path: /app, domain: a.example, secure: true, sameSite: None, maxAgeSeconds: 60, issue: always, sessionCookies: [SID] }
  affinityKeys: [call]
  jvmRoute: i1
  unavailableHost: { host: 'sorry.example:80', mode: proxy }
  trustedProxies: [192.0.2.0/24]
  traceparent: false
  connections: { max: 10, perSourceMax: 5, streamsMax: 7 }
  timeouts: { headMs: 1000, bodyMs: 1001, idleMs: 1002, responseMs: 1003, writeMs: 1004, tunnelIdleMs: 0, requestMs: 1005 }
  retries: { attemptsMax: 1, budgetPercent: 0 }
application:
  kind: upstream
  http:
    host: 127.0.0.1
    port: 8081
    protocol: http2
    connectionsMax: 2
    queueMax: 0
    timeouts: { connectMs: 1000, queueMs: 1001, responseMs: 1002, bodyMs: 1003, idleMs: 1004 }
    ejection: { failures: 0, baseMs: 200, maxMs: 300 }
`);
    const { listeners, ...rest } = http;
    assert.deepEqual(listeners, [
      {
        address: '::1',
        port: 80,
        http2: false,
        proxyProtocol: ['10.0.0.0/8'],
        redirectToHttpsPort: 443,
      },
      {
        address: '::1',
        port: 8_443,
        http2: true,
        proxyProtocol: [],
        tls: {
          certificate: '/etc/sailring/a.pem',
          key: '/etc/sailring/a.key',
          servers: [
            {
              name: '*.b.example',
              certificate: '/etc/sailring/b.pem',
              key: '/etc/sailring/b.key',
            },
          ],
          clientCa: '/etc/sailring/ca.pem',
          clientCertificates: 'optional',
        },
      },
    ]);
    assert.deepEqual(rest, {
      contextRoots: [{ path: '/app', kind: 'web' }],
      cookies: {
        bekey: 'K',
        beroute: 'R',
        path: '/app',
        domain: 'a.example',
        secure: true,
        sameSite: 'None',
        maxAgeSeconds: 60,
        issue: 'always',
        sessionCookies: ['SID'],
      },
      affinityKeys: ['call'],
      jvmRoute: 'i1',
      unavailableHost: { host: 'sorry.example:80', mode: 'proxy' },
      trustedProxies: ['192.0.2.0/24'],
      traceparent: false,
      connections: { max: 10, perSourceMax: 5, streamsMax: 7 },
      timeouts: {
        headMs: 1_000,
        bodyMs: 1_001,
        idleMs: 1_002,
        responseMs: 1_003,
        writeMs: 1_004,
        tunnelIdleMs: 0,
        requestMs: 1_005,
      },
      retries: { attemptsMax: 1, budgetPercent: 0 },
    });
    assert.deepEqual(application, {
      kind: 'upstream',
      http: {
        host: '127.0.0.1',
        port: 8_081,
        protocol: 'http2',
        connectionsMax: 2,
        queueMax: 0,
        timeouts: {
          connectMs: 1_000,
          queueMs: 1_001,
          responseMs: 1_002,
          bodyMs: 1_003,
          idleMs: 1_004,
        },
        ejection: { failures: 0, baseMs: 200, maxMs: 300 },
      },
    });
  });
});
