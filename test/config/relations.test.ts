import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import type { ConfigWorld } from '../../src/config/index.ts';
import { gossipLimits } from '../../src/config/defaults.ts';
import { parseConfig } from '../../src/config/index.ts';
import { encodeTags } from '../../src/gossip/tags.ts';
import { announcementTags } from '../../src/pipeline/view.ts';

const world: ConfigWorld = { hostname: 'test', env: {}, readFile: () => new Uint8Array() };
const keys = 'stamps: { keys: [{ id: a, secret: 0123456789abcdef }] }';
const demo = 'application: { kind: embedded, module: demo }';
const upstream = 'application: { kind: upstream, sip: { host: 127.0.0.1, port: 5080 } }';
const longName = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.example`;
const udp = 'sip: { listeners: [{ transport: udp }] }';

function problemsOf(...parts: string[]): string[] {
  const result = parseConfig(parts.join('\n'), 'peer.yaml', world);
  if (result.ok) return [];
  return result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

/** The parts that must be refused, why, and a change that mends it. */
const relations: readonly (readonly [string, readonly string[], string, string])[] = [
  [
    'gossip off loopback',
    [udp, demo, keys, 'gossip: { listen: { address: 192.0.2.1 } }'],
    '4:30 gossip on 192.0.2.1 would be open to the network without encryption',
    'gossip: { insecure: true }',
  ],
  [
    'gossip on every address without advertise',
    [udp, demo, keys, 'gossip: { insecure: true, listen: { address: 0.0.0.0 } }'],
    '4:46 0.0.0.0 is no address that other peers can use',
    'gossip: { advertise: "192.0.2.1:7946" }',
  ],
  [
    'never alone, but nobody to find',
    [udp, demo, keys, 'gossip: { allowAlone: false }'],
    '4:23 a peer without seeds that may not be alone never becomes ready',
    'gossip: { seeds: ["127.0.0.1:7956"] }',
  ],
  [
    'links off loopback without TLS',
    [udp, demo, keys, 'link: { listen: { address: "2001:db8::1" } }'],
    '4:28 links on 2001:db8::1 without TLS would let anyone inject requests',
    'link: { tls: { certificate: a, key: b, ca: c } }',
  ],
  [
    'links on every address without advertise',
    [udp, demo, keys, 'link: { insecure: true, listen: { address: "::" } }'],
    '4:44 :: is no address that other peers can use',
    'link: { advertise: "peer-1:7947" }',
  ],
  [
    'SIP off loopback without stamp keys',
    ['sip: { listeners: [{ transport: udp, address: 192.0.2.1 }] }', demo, 'stamps: {}'],
    '3:9 sip.listeners[0] is off loopback, but no stamp keys are configured',
    keys,
  ],
  [
    'seeds without stamp keys',
    [udp, demo, 'gossip: { seeds: ["127.0.0.1:7956"] }', 'stamps: { keys: [] }'],
    '4:11 this peer joins others, but no stamp keys are configured',
    keys,
  ],
  [
    'one key id twice',
    [
      udp,
      demo,
      'stamps: { keys: [{ id: a, secret: 0123456789abcdef }, { id: a, secret: fedcba9876543210 }] }',
    ],
    '3:61 a second stamp key has the id "a"',
    'stamps: { keys: [{ id: b }] }',
  ],
  [
    'SIP on every address without public address',
    ['sip: { listeners: [{ transport: udp, address: 0.0.0.0 }] }', demo, keys],
    '1:47 0.0.0.0 is no address that clients can send to',
    'sip: { publicAddress: "sip.example.com:5060" }',
  ],
  [
    'SIP on every address without public address, advertised',
    ['sip: { listeners: [{ transport: tcp, address: "::" }] }', demo, keys],
    '1:47 :: is no address that clients can send to',
    'sip: { listeners: [{ advertise: "192.0.2.1:5060" }] }',
  ],
  [
    'an internal listener on every address, whatever the public address is',
    [
      'sip: { publicAddress: "a:1", listeners: [{ transport: udp, address: 0.0.0.0, type: internal }] }',
      upstream,
      keys,
    ],
    '1:69 0.0.0.0 is no address that an application can send to',
    'sip: { listeners: [{ advertise: "192.0.2.1:5060" }] }',
  ],
  [
    'an internal listener for an embedded application',
    ['sip: { listeners: [{ transport: udp, type: internal }] }', demo],
    '1:44 an internal listener takes messages of SIP servers, but there is no upstream SIP server',
    'sip: { listeners: [{ type: external }] }',
  ],
  [
    'an internal listener for an application of HTTP alone',
    [
      'sip: { listeners: [{ transport: udp, type: internal }] }\nhttp: { listeners: [{}] }',
      'application: { kind: upstream, http: { host: 127.0.0.1, port: 8081 } }',
    ],
    '1:19 sip.listeners take requests that no application serves\n1:44 an internal listener takes messages of SIP servers, but there is no upstream SIP server',
    'application: { sip: { host: 127.0.0.1, port: 5080 } }',
  ],
  [
    'TLS without certificate',
    ['sip: { listeners: [{ transport: tls }] }', demo],
    '1:33 a tls listener cannot start without a certificate',
    'sip: { listeners: [{ tls: { certificate: a, key: b } }] }',
  ],
  [
    'WSS without certificate',
    ['sip: { listeners: [{ transport: wss }] }', demo],
    '1:33 a wss listener cannot start without a certificate',
    'sip: { listeners: [{ transport: ws }] }',
  ],
  ...['udp', 'tcp', 'ws'].map(
    (transport) =>
      [
        `a certificate for ${transport}`,
        [
          `sip: { listeners: [{ tls: { certificate: a, key: b }, transport: ${transport} }] }`,
          demo,
        ],
        `1:22 a ${transport} listener would not use its certificate: nothing would be encrypted`,
        'sip: { listeners: [{ transport: tls }] }',
      ] as const,
  ),
  [
    'client certificates without authority',
    [
      'sip: { listeners: [{ transport: tls, tls: { certificate: a, key: b, clientCertificates: optional } }] }',
      demo,
    ],
    '1:89 client certificates cannot be checked without their authority',
    'sip: { listeners: [{ tls: { clientCa: c } }] }',
  ],
  [
    'two certificates for one server name',
    [
      'sip: { listeners: [{ transport: tls, tls: { certificate: a, key: b, servers: [{ name: a.example, certificate: a, key: b }, { name: A.example, certificate: c, key: d }] } }] }',
      demo,
    ],
    '1:132 a second certificate is for the server name A.example',
    'sip: { listeners: [{ tls: { servers: [{ name: b.example }] } }] }',
  ],
  [
    'PROXY headers on UDP',
    ['sip: { listeners: [{ transport: udp, proxyProtocol: [10.0.0.1] }] }', demo],
    '1:53 a PROXY header begins a connection, and UDP has none',
    'sip: { listeners: [{ transport: tcp }] }',
  ],
  [
    'a sprayer in Via that has no address',
    ['sip: { useIpLoadBalancerAddressInViaHeaders: true, listeners: [{ transport: udp }] }', demo],
    '1:46 there is no public address that Via headers could name',
    'sip: { publicAddress: "sip.example.com:5060" }',
  ],
  [
    'TLS and TCP on one port',
    [
      'sip: { listeners: [{ transport: tcp, port: 5061 }, { transport: tls, tls: { certificate: a, key: b } }] }',
      demo,
    ],
    '1:52 sip.listeners[1] and sip.listeners[0] both want port 5061',
    'sip: { listeners: [{ port: 5062 }] }',
  ],
  [
    'a WebSocket on the port of HTTP',
    [
      'sip: { listeners: [{ transport: ws, port: 8080 }] }\nhttp: { listeners: [{ port: 8080 }] }',
      demo,
    ],
    '2:29 http.listeners[0] and sip.listeners[0] both want port 8080',
    'http: { listeners: [{ port: 8081 }] }',
  ],
  [
    'one IPv6 address in two forms on one port',
    [
      'sip: { listeners: [{ transport: udp, address: "::1" }, { transport: udp, address: "0:0::1" }] }',
      demo,
    ],
    '1:56 sip.listeners[1] and sip.listeners[0] both want port 5060',
    'sip: { listeners: [{ port: 5062 }] }',
  ],
  ...['192.0.2.9, port: 5060', 'SIP.example, port: 5060', '192.0.2.7, port: 5099'].map(
    (server) =>
      [
        `an application at ${server} that is this cluster`,
        [
          `application: { kind: upstream, sip: { host: ${server} } }`,
          'sip: { internal: { address: 192.0.2.1 }, publicAddress: "192.0.2.9:5060", aliases: [sip.example], listeners: [{ transport: udp, advertise: "192.0.2.7:5099" }] }',
          keys,
        ],
        `1:45 the application at ${server.replace(', port: ', ':')} would be this cluster itself`,
        'application: { sip: { port: 5080 } }',
      ] as const,
  ),
  [
    'an application over IPv6 for a socket of IPv4',
    [udp, 'application: { kind: upstream, sip: { host: "::1", port: 5080 } }'],
    '2:45 ::1 cannot be reached from 127.0.0.1: one is IPv6 and one is IPv4',
    'sip: { internal: { address: "::1" } }',
  ],
  [
    'an application over IPv4 for a socket of one IPv6 address',
    [`${udp.slice(0, -2)}, internal: { address: "::1" } }`, upstream],
    '2:45 127.0.0.1 cannot be reached from ::1: one is IPv6 and one is IPv4',
    'sip: { internal: { address: "127.0.0.1" } }',
  ],
  [
    'one extra server node twice',
    [
      udp,
      'application: { kind: upstream, sip: { host: 127.0.0.1, port: 5080, extraServerNodes: ["127.0.0.2", "127.0.0.2:5080"] } }',
    ],
    '2:100 127.0.0.2:5080 is listed already, or is the server itself',
    'application: { sip: { extraServerNodes: ["127.0.0.3"] } }',
  ],
  [
    'an extra server node that is the server',
    [
      `${udp.slice(0, -2)}, internal: { address: "::1" } }`,
      'application: { kind: upstream, sip: { host: "::1", port: 5080, extraServerNodes: ["0::1"] } }',
    ],
    '2:83 0::1 is listed already, or is the server itself',
    'application: { sip: { extraServerNodes: ["[::1]:5081"] } }',
  ],
  ...[
    '127.0.0.1:5060',
    '[::ffff:127.0.0.1]:5060',
    '127.0.0.1:5070',
    '192.0.2.9:5060',
    '192.0.2.8:5060',
    '192.0.2.7:5099',
  ].map(
    (node) =>
      [
        `an extra server node ${node} that is this cluster`,
        [
          'sip: { publicAddress: "192.0.2.9:5060", aliases: [192.0.2.8], listeners: [{ transport: udp, advertise: "192.0.2.7:5099" }] }',
          `application: { kind: upstream, sip: { host: 127.0.0.1, port: 5080, extraServerNodes: ["${node}"] } }`,
        ],
        `2:87 ${node} is an address of this peer or its cluster, not of the application`,
        'application: { sip: { extraServerNodes: ["192.0.2.20"] } }',
      ] as const,
  ),
  [
    'addresses that gossip cannot carry',
    [
      `application: { kind: upstream, sip: { host: ${longName}, port: 5080 } }`,
      `link: { advertise: "${longName}:7947" }`,
      keys,
      'sip: { internal: { address: 192.0.2.1 }, listeners: [{ transport: udp }] }',
    ],
    '1:45 the addresses and the jvmRoute that this peer announces to others have 422 characters; at most 352 fit',
    'link: { advertise: "192.0.2.1:7947" }',
  ],
  [
    'answers to every address',
    ['sip: { listeners: [{ transport: udp }], internal: { address: 0.0.0.0 } }', demo, keys],
    '1:62 0.0.0.0 is no address that an application can answer to',
    'sip: { internal: { address: 192.0.2.1 } }',
  ],
  [
    'answers to every address, advertised',
    ['sip: { listeners: [{ transport: udp }], internal: { address: "::" } }', demo, keys],
    '1:62 :: is no address that an application can answer to',
    'sip: { internal: { advertise: "192.0.2.1:5070" } }',
  ],
  [
    'a context root twice',
    [udp, demo, 'http: { contextRoots: [{ path: /a, kind: web }, { path: /a, kind: converged }] }'],
    '3:57 the context root /a is listed twice',
    'http: { contextRoots: [{ path: /b }] }',
  ],
  [
    'a URL key twice',
    [udp, demo, 'http: { affinityKeys: [call, user, call] }'],
    '3:36 the URL parameter call is listed twice',
    'http: { affinityKeys: [other] }',
  ],
  [
    'a redirect to where it came in',
    [demo, 'http: { listeners: [{ port: 8090, redirectToHttpsPort: 8090 }] }'],
    '2:56 port 8090 is this listener itself, which does not speak TLS',
    'http: { listeners: [{ redirectToHttpsPort: 8443 }] }',
  ],
  [
    'two certificates for one name of HTTPS',
    [
      demo,
      'http: { listeners: [{ tls: { certificate: a, key: b, servers: [{ name: A.example, certificate: a, key: b }, { name: a.example, certificate: a, key: b }] } }] }',
    ],
    '2:117 a second certificate is for the server name a.example',
    'http: { listeners: [{ tls: { servers: [{ name: b.example }] } }] }',
  ],
  [
    'client certificates of HTTPS without their authority',
    [
      demo,
      'http: { listeners: [{ tls: { certificate: a, key: b, clientCertificates: required } }] }',
    ],
    '2:74 client certificates cannot be checked without their authority',
    'http: { listeners: [{ tls: { clientCa: c } }] }',
  ],
  [
    'a cookie whose name promises a host',
    [udp, demo, 'http: { cookies: { bekey: __Host-BEKEY, secure: true, path: /app } }'],
    '3:27 browsers refuse a cookie of the name __Host-BEKEY without secure: true, path: / and no domain',
    'http: { cookies: { path: / } }',
  ],
  [
    'a cookie whose name promises Secure',
    [udp, demo, 'http: { cookies: { beroute: __secure-R } }'],
    '3:29 browsers refuse a cookie of the name __secure-R without secure: true',
    'http: { cookies: { secure: true, domain: a.example, path: /app } }',
  ],
  [
    'a peer that stands in for itself',
    [demo, 'http: { listeners: [{}], unavailableHost: { host: "127.0.0.1:8080" } }'],
    '2:51 127.0.0.1:8080 is this peer itself, which has no instance then',
    'http: { unavailableHost: { host: "127.0.0.1:8081" } }',
  ],
  [
    'a first pause above the longest',
    [
      'http: { listeners: [{}] }',
      'application: { kind: upstream, http: { host: 127.0.0.1, port: 8081, ejection: { baseMs: 60000 } } }',
    ],
    '2:89 the first pause of 60000 ms is longer than the longest one of 30000 ms',
    'application: { http: { ejection: { maxMs: 60000 } } }',
  ],
  [
    'SameSite=None without Secure',
    [udp, demo, 'http: { cookies: { sameSite: None } }'],
    '3:30 browsers refuse cookies with SameSite=None that are not Secure',
    'http: { cookies: { secure: true } }',
  ],
  [
    'two cookies of one name',
    [udp, demo, 'http: { cookies: { beroute: BEKEY } }'],
    '3:29 two cookies would have the name BEKEY',
    'http: { cookies: { beroute: OTHER } }',
  ],
  [
    'a stamp under the name of the session cookie',
    [udp, demo, 'http: { cookies: { bekey: JSESSIONID } }'],
    '3:27 two cookies would have the name JSESSIONID',
    'http: { cookies: { sessionCookies: [SID] } }',
  ],
  [
    'nowhere to listen',
    [demo],
    '1:1 neither sip.listeners nor http.listeners names an address',
    udp,
  ],
  [
    'an upstream without servers',
    [udp, 'application: { kind: upstream }'],
    '2:14 an upstream application needs a SIP server, an HTTP server or both',
    'application: { sip: { host: 127.0.0.1, port: 5080 } }',
  ],
  [
    'HTTP that nobody serves',
    [
      'http: { listeners: [{}] }',
      'application: { kind: upstream, sip: { host: 127.0.0.1, port: 5080 } }',
    ],
    '1:20 http.listeners take requests that no application serves',
    'application: { http: { host: localhost, port: 8081 } }',
  ],
  [
    'SIP that nobody serves',
    [udp, 'application: { kind: upstream, http: { host: 127.0.0.1, port: 8081 } }'],
    '1:19 sip.listeners take requests that no application serves',
    'application: { sip: { host: 127.0.0.1, port: 5080 } }',
  ],
  [
    'an upstream that cannot answer',
    [udp, 'application: { kind: upstream, sip: { host: app.example.com } }'],
    '2:45 app.example.com cannot answer to 127.0.0.1',
    'sip: { internal: { address: 192.0.2.1 } }\nstamps: { keys: [{ id: a, secret: 0123456789abcdef }] }',
  ],
  [
    'an upstream for SIP that is the peer itself',
    [udp, 'application: { kind: upstream, sip: { host: localhost, port: 5060 } }'],
    '2:62 the application at localhost:5060 would be this peer itself',
    'application: { sip: { port: 5080 } }',
  ],
  [
    'an upstream for HTTP that is the peer itself',
    [
      'http: { listeners: [{}] }',
      'application: { kind: upstream, http: { host: 127.0.0.1, port: 8080 } }',
    ],
    '2:63 the application at 127.0.0.1:8080 would be this peer itself',
    'application: { http: { port: 8081 } }',
  ],
  [
    'an admin server open to the network',
    [udp, demo, 'admin: { listen: { address: 0.0.0.0 } }'],
    '3:29 the admin server on 0.0.0.0 would be open to the network',
    'admin: { token: a-token-of-enough-length }',
  ],
  [
    'one port twice',
    [udp, demo, 'admin: { listen: { port: 7947 } }'],
    '3:26 admin.listen and link.listen both want port 7947',
    'admin: { listen: { port: 7948 } }',
  ],
  [
    'one port twice, once on every address',
    [
      'sip: { publicAddress: "a:1", listeners: [{ transport: tcp, address: 0.0.0.0, port: 7948 }] }',
      demo,
      keys,
    ],
    '1:1 admin.listen and sip.listeners[0] both want port 7948',
    'admin: { listen: { port: 7949 } }',
  ],
];

describe('keys that do not go together are refused at their place:', () => {
  for (const [name, parts, problem, remedy] of relations) {
    it(name, () => {
      const problems = problemsOf(...parts);
      const [expected, found] =
        name === 'one port twice, once on every address'
          ? [problem.replace(/^\S+ /u, ''), problems.map((line) => line.replace(/^\S+ /u, ''))]
          : [problem, problems];
      assert.deepEqual(found, expected.split('\n'));
    });

    it(`${name}: mended`, () => {
      const mended = merge(parse(parts.join('\n')), parse(remedy));
      assert.deepEqual(problemsOf(stringify(mended)), []);
    });
  }

  it('UDP and TCP may share a port', () => {
    const text = 'sip: { listeners: [{ transport: udp }, { transport: tcp }] }';
    assert.deepEqual(problemsOf(text, demo), []);
  });

  it('a redirect to HTTPS is for a listener without tls', () => {
    const listener = (tls: string): string =>
      `http: { listeners: [{ redirectToHttpsPort: 443${tls} }] }`;
    assert.deepEqual(problemsOf(demo, listener(', tls: { certificate: a, key: b }')), [
      '2:23 a listener with tls is HTTPS already: whom it redirects would come back to it',
    ]);
    assert.deepEqual(problemsOf(demo, listener('')), []);
  });

  it('the longest addresses and jvmRoute that are accepted fit the metadata of gossip', () => {
    const jvmRoute = 'r'.repeat(64);
    const host = (length: number): string =>
      `${'a'.repeat(62)}.`.repeat(8).slice(0, length - 1) + 'z';
    const nodes = [1, 2, 3, 4].map((at) => `[2001:db8:1111:2222:3333:4444:5555:${at}111]:5080`);
    const configOf = (length: number): string[] => [
      'sip: { listeners: [{ transport: udp }], internal: { address: 192.0.2.1 } }',
      keys,
      `http: { jvmRoute: ${jvmRoute} }`,
      `application: { kind: upstream, sip: { host: ${host(length)}, port: 5080, extraServerNodes: ${JSON.stringify(nodes)} } }`,
    ];
    const lengths = Array.from({ length: 253 }, (_, at) => at + 1);
    const longest = lengths.findLast((length) => problemsOf(...configOf(length)).length === 0) ?? 0;
    assert.ok(longest > 60 && longest < 253, String(longest));
    const tags = announcementTags({
      epoch: Number.MAX_SAFE_INTEGER,
      status: 'draining',
      weight: 99.99999999999999,
      share: 0.30000000000000004,
      stateDigest: 'AAAAAAAA',
      rulesDigest: 'BBBBBBBB',
      link: '127.0.0.1:7947',
      sipInternal: '192.0.2.1:5070',
      sipTransport: 'UDP',
      applications: [`${host(longest)}:5080`, ...nodes],
      jvmRoute,
    });
    assert.ok(encodeTags(tags).length <= gossipLimits.metaBytesMax);
  });
});

/** Lays `change` over `value`; lists go by index. */
function merge(value: unknown, change: unknown): unknown {
  if (Array.isArray(value) && Array.isArray(change) && value.length > 0)
    return value.map((item: unknown, at) =>
      at === value.length - 1 ? merge(item, change[0]) : item,
    );
  if (typeof value !== 'object' || typeof change !== 'object' || Array.isArray(value))
    return change;
  const merged: Record<string, unknown> = { ...value };
  for (const [key, item] of Object.entries(change ?? {})) merged[key] = merge(merged[key], item);
  return merged;
}
