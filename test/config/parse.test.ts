import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConfigWorld, Config } from '../../src/config/index.ts';
import {
  applicationAddresses,
  applicationSources,
  formatProblem,
  loadConfig,
  parseConfig,
} from '../../src/config/index.ts';

const files = new Map<string, Uint8Array>();

function world(changes: Partial<ConfigWorld> = {}): ConfigWorld {
  return {
    hostname: 'host one.example',
    env: {},
    readFile: (path) => files.get(path),
    ...changes,
  };
}

const smallest = `
sip: { listeners: [{ transport: udp }] }
application: { kind: embedded, module: demo }
`;

function accepted(text: string, given = world()): Config {
  const result = parseConfig(text, '/etc/sailring/peer.yaml', given);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.config;
}

function refused(text: string, given = world()): string[] {
  const result = parseConfig(text, 'peer.yaml', given);
  assert.ok(!result.ok, 'the configuration was accepted');
  return result.problems.map(formatProblem);
}

describe('a configuration with little in it', () => {
  it('is complete with defaults', () => {
    const { stamps, ...config } = accepted(smallest);
    assert.deepEqual(config, {
      name: 'host-one.example',
      cluster: { name: 'sailring', minority: 'serve', mixedRulesGraceMs: 60_000 },
      gossip: {
        listen: { address: '127.0.0.1', port: 7946 },
        seeds: [],
        profile: 'fast',
        keys: [],
        allow: [],
        insecure: false,
        label: true,
        allowAlone: true,
        discovery: { dns: [], dnsServers: [], pollIntervalMs: 30_000 },
      },
      link: { listen: { address: '127.0.0.1', port: 7947 }, insecure: false },
      sip: {
        useIpLoadBalancerAddressInViaHeaders: false,
        aliases: [],
        algorithm: 'consistent-hash',
        listeners: [
          {
            transport: 'udp',
            address: '127.0.0.1',
            port: 5060,
            type: 'default',
            proxyProtocol: [],
          },
        ],
        internal: { address: '127.0.0.1', port: 5070 },
        connections: { idleMs: 660_000, lifetimeMs: 0, perSourceMax: 1_000 },
        dns: { servers: [], timeoutMs: 2_000 },
        protection: { requestsPerSecond: 0, burst: 1, allow: [], droppedUserAgents: [] },
        overload: { eventLoopDelayMs: 500, retryAfterSeconds: 5 },
      },
      http: {
        listeners: [],
        contextRoots: [{ path: '/', kind: 'converged' }],
        cookies: {
          bekey: 'BEKEY',
          beroute: 'BEROUTE',
          path: '/',
          secure: false,
          sameSite: 'Lax',
          issue: 'session',
          sessionCookies: [
            'JSESSIONID',
            'connect.sid',
            'PHPSESSID',
            'SESSION',
            'session',
            'sessionid',
            'sid',
            '_session_id',
            'ASP.NET_SessionId',
            '.AspNetCore.Session',
            'laravel_session',
          ],
        },
        affinityKeys: [],
        trustedProxies: [],
        traceparent: true,
        connections: { max: 16_384, perSourceMax: 1_024, streamsMax: 100 },
        timeouts: {
          headMs: 15_000,
          bodyMs: 30_000,
          idleMs: 65_000,
          responseMs: 65_000,
          writeMs: 30_000,
          tunnelIdleMs: 3_600_000,
          requestMs: 0,
        },
        retries: { attemptsMax: 3, budgetPercent: 20 },
      },
      rules: {},
      application: { kind: 'embedded', module: 'demo' },
      weight: 1,
      admin: { listen: { address: '127.0.0.1', port: 7948 } },
      rampUp: { loadIncreaseFactor: 1, periodMs: 0 },
      drainTimeoutMs: 600_000,
      drainQuietMs: 32_000,
      log: { level: 'info' },
    });
    assert.equal(stamps.keys.length, 1);
    assert.equal(stamps.keys[0]?.secret.length, 32);
  });

  it('gets another random stamp key each time', () => {
    const [one, other] = [accepted(smallest), accepted(smallest)];
    assert.notDeepEqual(one.stamps.keys, other.stamps.keys);
  });

  it('takes port 0 wherever it listens', () => {
    const config = accepted(`
gossip: { listen: { port: 0 } }
link: { listen: { port: 0 } }
admin: { listen: { port: 0 } }
sip: { listeners: [{ transport: udp, port: 0 }, { transport: tcp, port: 0 }], internal: { port: 0 } }
http: { listeners: [{ port: 0 }] }
application: { kind: embedded, module: demo }
`);
    assert.equal(config.admin.listen.port, 0);
    assert.equal(config.sip.internal.port, 0);
  });

  for (const [hostname, name] of [
    ['a.b', 'a.b'],
    ['äöü', '-'],
    ['', 'peer'],
    ['x'.repeat(80), 'x'.repeat(64)],
  ] as const)
    it(`names the peer "${name}" on the host "${hostname}"`, () => {
      assert.equal(accepted(smallest, world({ hostname })).name, name);
    });
});

describe('SIP', () => {
  for (const [transport, port] of [
    ['udp', 5060],
    ['tcp', 5060],
    ['tls', 5061],
    ['ws', 80],
    ['wss', 443],
  ] as const)
    it(`listens for ${transport} on port ${port} by default, and on any with port 0`, () => {
      const tls = ['tls', 'wss'].includes(transport) ? ', tls: { certificate: a, key: b }' : '';
      const ports = ['', ', port: 0', ', port: 7'].map((given) => {
        const text = `
sip: { listeners: [{ transport: ${transport}${given}${tls} }] }
application: { kind: embedded, module: demo }`;
        return accepted(text, world({ readFile: () => new Uint8Array() })).sip.listeners[0]?.port;
      });
      assert.deepEqual(ports, [port, 0, 7]);
    });

  it('takes every key there is', () => {
    const { sip, application } = accepted(
      `
sip:
  publicAddress: sip.example.com:5060
  useIpLoadBalancerAddressInViaHeaders: true
  aliases: [example.com]
  algorithm: round-robin
  listeners:
    - { transport: tcp, address: '::', port: 5062, type: external, advertise: 'a.example:5062', proxyProtocol: [10.0.0.0/8] }
    - { transport: udp, type: internal, port: 5063 }
  internal: { address: 0.0.0.0, port: 5071, advertise: '127.0.0.1:5071' }
  connections: { idleMs: 1000, lifetimeMs: 3600000, perSourceMax: 5, serverCa: ca.pem }
  dns: { servers: ['127.0.0.1:5353'], timeoutMs: 100 }
  protection: { requestsPerSecond: 50, burst: 60, allow: [192.0.2.0/24], droppedUserAgents: [friendly-scanner] }
  overload: { eventLoopDelayMs: 0, retryAfterSeconds: 30 }
application:
  kind: upstream
  sip: { host: 127.0.0.1, port: 5080, extraServerNodes: [127.0.0.2, '[::1]:5081'] }
stamps: { keys: [{ id: a, secret: 0123456789abcdef }] }
`,
      world({ readFile: () => new Uint8Array() }),
    );
    assert.deepEqual(sip, {
      publicAddress: 'sip.example.com:5060',
      useIpLoadBalancerAddressInViaHeaders: true,
      aliases: ['example.com'],
      algorithm: 'round-robin',
      listeners: [
        {
          transport: 'tcp',
          address: '::',
          port: 5062,
          type: 'external',
          advertise: 'a.example:5062',
          proxyProtocol: ['10.0.0.0/8'],
        },
        { transport: 'udp', address: '127.0.0.1', port: 5063, type: 'internal', proxyProtocol: [] },
      ],
      internal: { address: '0.0.0.0', port: 5071, advertise: '127.0.0.1:5071' },
      connections: {
        idleMs: 1_000,
        lifetimeMs: 3_600_000,
        perSourceMax: 5,
        serverCa: '/etc/sailring/ca.pem',
      },
      dns: { servers: ['127.0.0.1:5353'], timeoutMs: 100 },
      protection: {
        requestsPerSecond: 50,
        burst: 60,
        allow: ['192.0.2.0/24'],
        droppedUserAgents: ['friendly-scanner'],
      },
      overload: { eventLoopDelayMs: 0, retryAfterSeconds: 30 },
    });
    assert.deepEqual(application, {
      kind: 'upstream',
      sip: {
        host: '127.0.0.1',
        port: 5080,
        transport: 'udp',
        extraServerNodes: ['127.0.0.2', '[::1]:5081'],
      },
    });
  });

  it('lets two seconds of requests come at once where no burst is given', () => {
    const text = smallest.replace('udp }]', 'udp }], protection: { requestsPerSecond: 40 }');
    assert.equal(accepted(text).sip.protection.burst, 80);
  });

  for (const [given, expected] of [
    ['', 'none'],
    [', clientCa: ca', 'optional'],
    [', clientCa: ca, clientCertificates: required', 'required'],
    [', clientCa: ca, clientCertificates: none', 'none'],
  ] as const)
    it(`with tls of a certificate${given} it treats client certificates as ${expected}`, () => {
      const text = `
sip: { listeners: [{ transport: tls, tls: { certificate: a, key: b${given} } }] }
application: { kind: embedded, module: demo }`;
      const { sip } = accepted(text, world({ readFile: () => new Uint8Array() }));
      assert.equal(sip.listeners[0]?.tls?.clientCertificates, expected);
    });
});

describe('the addresses of an upstream application', () => {
  it('are the main one and the extra ones, as sockets report them', () => {
    const addresses = applicationAddresses({
      host: 'App.Example',
      port: 5_080,
      transport: 'udp',
      extraServerNodes: ['192.0.2.7', '2001:DB8:0::7', '[2001:db8::8]:5090', '::ffff:192.0.2.9'],
    });
    assert.deepEqual(addresses, [
      'app.example:5080',
      '192.0.2.7:5080',
      '[2001:db8::7]:5080',
      '[2001:db8::8]:5090',
      '192.0.2.9:5080',
    ]);
  });

  it('without ports are the sources that its messages come from; a name is none', () => {
    const sip = { port: 5_080, transport: 'udp', extraServerNodes: ['[2001:DB8::8]:1'] } as const;
    const sources = ['app.example', '192.0.2.7'].map((host) =>
      applicationSources({ kind: 'upstream', sip: { ...sip, host } }),
    );
    assert.deepEqual(sources, [['2001:db8::8'], ['192.0.2.7', '2001:db8::8']]);
    assert.deepEqual(applicationSources({ kind: 'embedded', module: 'demo' }), []);
    assert.deepEqual(applicationSources({ kind: 'upstream' }), []);
  });
});

describe('secrets and paths', () => {
  files.set('/etc/sailring/key', Buffer.from('0123456789abcdef\n'));
  files.set('/etc/sailring/rules.xml', Buffer.from('<rules/>'));
  files.set('/etc/sailring/app.ts', Buffer.from(''));
  files.set('/etc/sailring/big', Buffer.alloc(5_000, 0x61));
  for (const name of ['cert', 'private', 'ca'])
    files.set(`/etc/sailring/tls/${name}.pem`, Buffer.from('pem'));

  it('are read from files and the environment, without the last line feed', () => {
    const config = accepted(
      `${smallest}
stamps: { keys: [{ id: a, secret: { file: key } }, { id: b, secret: { env: OTHER } }] }
admin: { token: { env: TOKEN } }`,
      world({ env: { OTHER: 'ffffffffffffffff', TOKEN: 'a-token-of-enough-length' } }),
    );
    assert.deepEqual(
      config.stamps.keys.map(({ id, secret }) => [id, Buffer.from(secret).toString()]),
      [
        ['a', '0123456789abcdef'],
        ['b', 'ffffffffffffffff'],
      ],
    );
    assert.equal(config.admin.token, 'a-token-of-enough-length');
  });

  it('count from the folder of the file', () => {
    const config = accepted(`
sip:
  listeners:
    - transport: wss
      tls:
        certificate: tls/cert.pem
        key: tls/private.pem
        clientCa: tls/ca.pem
        servers: [{ name: a.example, certificate: ./tls/cert.pem, key: tls/private.pem }]
  connections: { serverCa: tls/ca.pem }
rules: { file: rules.xml }
application: { kind: embedded, module: ./app.ts }
link: { tls: { certificate: tls/cert.pem, key: tls/private.pem, ca: tls/ca.pem } }
`);
    assert.equal(config.rules.file, '/etc/sailring/rules.xml');
    assert.deepEqual(config.application, { kind: 'embedded', module: '/etc/sailring/app.ts' });
    assert.equal(config.sip.connections.serverCa, '/etc/sailring/tls/ca.pem');
    assert.deepEqual(config.sip.listeners[0]?.tls, {
      certificate: '/etc/sailring/tls/cert.pem',
      key: '/etc/sailring/tls/private.pem',
      servers: [
        {
          name: 'a.example',
          certificate: '/etc/sailring/tls/cert.pem',
          key: '/etc/sailring/tls/private.pem',
        },
      ],
      clientCa: '/etc/sailring/tls/ca.pem',
      clientCertificates: 'optional',
    });
    assert.deepEqual(config.link.tls, {
      certificate: '/etc/sailring/tls/cert.pem',
      key: '/etc/sailring/tls/private.pem',
      ca: '/etc/sailring/tls/ca.pem',
    });
  });

  it('are refused where they cannot be used', () => {
    const result = parseConfig(
      `sip: { listeners: [{ transport: udp }] }
application: { kind: embedded, module: app.py }
rules: { file: none.xml }
stamps:
  keys:
    - { id: a, secret: { file: none } }
    - { id: b, secret: { file: big } }
    - { id: c, secret: { env: NONE } }
    - { id: d, secret: tooshort }
admin: { token: "not a token" }
`,
      '/etc/sailring/peer.yaml',
      world(),
    );
    assert.ok(!result.ok);
    assert.deepEqual(
      result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`),
      [
        '2:40 app.py has an unknown extension',
        '3:16 cannot read /etc/sailring/none.xml',
        '6:32 cannot read /etc/sailring/none',
        '7:32 big is larger than 4096 bytes',
        '8:31 the environment variable NONE is not set',
        '9:24 the secret of stamp key "d" has fewer than 16 bytes',
        '10:17 the admin token is no line of at least 16 printable ASCII characters without spaces',
      ],
    );
  });

  it('are refused for each TLS file that is not there', () => {
    const lines = refused(`
sip:
  listeners:
    - transport: tls
      tls:
        certificate: none-1
        key: none-2
        clientCa: none-3
        servers: [{ name: a, certificate: none-4, key: none-5 }]
  connections: { serverCa: none-6 }
application: { kind: embedded, module: demo }
`);
    assert.deepEqual(
      lines.map((line) => /^peer.yaml:(\d+):.*(none-\d)/u.exec(line)?.slice(1)),
      [
        ['6', 'none-1'],
        ['7', 'none-2'],
        ['8', 'none-3'],
        ['9', 'none-4'],
        ['9', 'none-5'],
        ['10', 'none-6'],
      ],
    );
  });

  it('never stand in a problem', () => {
    const lines = refused(`
stamps: { keys: [{ id: a, secret: hush }, { id: b, secret: [hush] }, { id: "!", secret: hush }] }
admin: { token: hush, listen: { address: 0.0.0.0 } }
application: { kind: embedded, module: demo }
unknown: hush
`);
    assert.ok(lines.length >= 3);
    assert.doesNotMatch(lines.join('\n'), /hush/u);
  });
});

/** One fault each: the text, and the line that must be printed. */
const faults: readonly (readonly [name: string, text: string, line: string])[] = [
  [
    'an empty file',
    '',
    'peer.yaml:1:1: error: application is missing; add it: what serves the requests of this instance',
  ],
  [
    'a list instead of keys',
    '- a',
    'peer.yaml:1:1: error: the file must be a group of keys, not a list; write its keys on the lines below, indented',
  ],
  [
    'an open bracket',
    'sip:\n  aliases: [\n',
    'peer.yaml:3:1: error: Flow sequence in block collection must be sufficiently indented and end with a ]; correct the YAML',
  ],
  [
    'a key twice',
    'weight: 1\nweight: 2',
    'peer.yaml:2:1: error: Map keys must be unique; correct the YAML',
  ],
  [
    'an unknown tag',
    'name: !secret x',
    'peer.yaml:1:7: error: Unresolved tag: !secret; correct the YAML',
  ],
  [
    'an alias of nothing',
    'name: *x',
    'peer.yaml:1:1: error: Unresolved alias (the anchor must be set before the alias): x; correct or leave out the aliases',
  ],
  [
    'a mistyped key at the top',
    `${smallest}gosip: {}`,
    'peer.yaml:4:1: error: unknown key "gosip"; did you mean "gossip"?',
  ],
  [
    'a mistyped key further down',
    `${smallest}http:\n  cookies:\n    samesite: Lax`,
    'peer.yaml:6:5: error: unknown key "samesite" in http.cookies; did you mean "sameSite"?',
  ],
  [
    'a mistyped key in a list',
    'sip:\n  listeners:\n    - { transport: udp, prot: 1 }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:3:25: error: unknown key "prot" in sip.listeners[0]; did you mean "port"?',
  ],
  [
    'a key of another kind of application',
    'sip: { listeners: [{ transport: udp }] }\napplication: { kind: embedded, module: demo, http: {} }',
    'peer.yaml:2:46: error: unknown key "http" in application; known here: kind, module',
  ],
  [
    'a key that resembles nothing',
    `${smallest}log: { colour: red }`,
    'peer.yaml:4:8: error: unknown key "colour" in log; known here: level',
  ],
  [
    'an unknown kind of application',
    'application: { kind: embeded }',
    'peer.yaml:1:22: error: application.kind must be one of embedded, upstream, not "embeded"; did you mean "embedded"?',
  ],
  [
    'an application without kind',
    'application: { module: demo }',
    'peer.yaml:1:14: error: application.kind is missing; add it: one of embedded, upstream',
  ],
  [
    'text for a number',
    `${smallest}drainTimeoutMs: "5"`,
    'peer.yaml:4:17: error: drainTimeoutMs must be a number, not text; write a number without quotes',
  ],
  [
    'a fraction for a whole number',
    `${smallest}drainTimeoutMs: 0.5`,
    'peer.yaml:4:17: error: drainTimeoutMs must be a whole number, not a fraction; write a whole number without quotes',
  ],
  [
    'a number for text',
    `${smallest}name: 7`,
    'peer.yaml:4:7: error: name must be text, not a number; write text, in quotes where YAML would read something else',
  ],
  [
    'a group without content',
    `${smallest}gossip:\n`,
    'peer.yaml:4:8: error: gossip must be a group of keys, not nothing; write its keys on the lines below, indented',
  ],
  [
    'a value for a list',
    `${smallest}gossip: { seeds: a:1 }`,
    'peer.yaml:4:18: error: gossip.seeds must be a list, not text; write [a, b], or lines that begin with "- "',
  ],
  [
    'a word for true or false',
    `${smallest}link: { insecure: yes }`,
    'peer.yaml:4:19: error: link.insecure must be true or false, not text; write true or false without quotes',
  ],
  [
    'a port beyond the last',
    `${smallest}admin: { listen: { port: 65536 } }`,
    'peer.yaml:4:26: error: admin.listen.port must be at most 65535; write 65535 or less',
  ],
  [
    'a negative port',
    `${smallest}admin: { listen: { port: -1 } }`,
    'peer.yaml:4:26: error: admin.listen.port must be at least 0; write 0 or more',
  ],
  [
    'a name with a space',
    `${smallest}name: peer one`,
    'peer.yaml:4:7: error: name "peer one" is not a usable name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -',
  ],
  [
    'a public address without port',
    'sip: { publicAddress: sip.example.com }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:1:23: error: sip.publicAddress "sip.example.com" is not host:port; write for example 192.0.2.1:5060, sip.example.com:5060 or "[2001:db8::1]:5060"',
  ],
  [
    'a name to listen on',
    `${smallest}admin: { listen: { address: localhost } }`,
    'peer.yaml:4:29: error: admin.listen.address "localhost" is not an IP address; write an address of this machine such as 127.0.0.1, 0.0.0.0 or "::1"',
  ],
  [
    'a context root without slash',
    `${smallest}http: { contextRoots: [{ path: shop, kind: web }] }`,
    'peer.yaml:4:32: error: http.contextRoots[0].path "shop" is not an absolute path; begin it with "/" and leave out spaces and semicolons',
  ],
  [
    'an unknown transport',
    'sip: { listeners: [{ transport: tlss }] }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:1:33: error: sip.listeners[0].transport must be one of udp, tcp, tls, ws, wss, not "tlss"; did you mean "tls"?',
  ],
  [
    'a mistyped key of TLS',
    'sip: { listeners: [{ transport: tls, tls: { certificate: a, key: b, clientCA: c } }] }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:1:69: error: unknown key "clientCA" in sip.listeners[0].tls; did you mean "clientCa"?',
  ],
  [
    'TLS without a key',
    'sip: { listeners: [{ transport: tls, tls: { certificate: a } }] }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:1:43: error: sip.listeners[0].tls.key is missing; add it: PEM file of its key',
  ],
  [
    'a name server without a port',
    'sip: { dns: { servers: ["192.0.2.53:0"] } }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:1:25: error: sip.dns.servers[0] "192.0.2.53:0" is not ip:port; write for example 192.0.2.53:53 or "[2001:db8::53]:53"',
  ],
  [
    'a server name with a star inside',
    'sip: { listeners: [{ transport: tls, tls: { certificate: a, key: b, servers: [{ name: "a.*.example", certificate: a, key: b }] } }] }\napplication: { kind: embedded, module: demo }',
    'peer.yaml:1:87: error: sip.listeners[0].tls.servers[0].name "a.*.example" is not a server name; write a DNS name, or "*." and a DNS name for all names with one label more',
  ],
  [
    'an extra server node that is a name',
    `application: { kind: upstream, sip: { host: 127.0.0.1, extraServerNodes: [app.example] } }`,
    'peer.yaml:1:75: error: application.sip.extraServerNodes[0] "app.example" is neither an IP address nor ip:port; write for example 192.0.2.20, 192.0.2.20:5060 or "[2001:db8::20]:5060"',
  ],
  [
    'more extra server nodes than gossip carries',
    `application: { kind: upstream, sip: { host: 127.0.0.1, extraServerNodes: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5] } }`,
    'peer.yaml:1:74: error: application.sip.extraServerNodes has too many entries; write 4 at most',
  ],
  [
    'a scanner without a name',
    `sip: { protection: { droppedUserAgents: [" "] } }\napplication: { kind: embedded, module: demo }`,
    'peer.yaml:1:42: error: sip.protection.droppedUserAgents[0] " " is no begin of a User-Agent; use 1 to 64 printable ASCII characters without spaces around them',
  ],
  [
    'a burst of nothing',
    `sip: { protection: { burst: 0 } }\napplication: { kind: embedded, module: demo }`,
    'peer.yaml:1:29: error: sip.protection.burst must be at least 1; write 1 or more',
  ],
  [
    'a network with too long a prefix',
    `${smallest}http: { trustedProxies: [10.0.0.0/33] }`,
    'peer.yaml:4:26: error: http.trustedProxies[0] "10.0.0.0/33" is neither an IP address nor a network; write for example 10.0.0.0/8 or "fd00::/8"',
  ],
];

describe('a fault of shape is told at its place:', () => {
  for (const [name, text, line] of faults)
    it(name, () => {
      assert.deepEqual(refused(text), [line]);
    });

  it('several at once, in the order of the file', () => {
    const lines = refused('nam: x\nsip: { listeners: [{ port: x }] }\nweight: 0\n');
    assert.deepEqual(
      lines.map((line) => line.split(': error: ', 1)[0]),
      ['peer.yaml:1:1', 'peer.yaml:1:1', 'peer.yaml:2:20', 'peer.yaml:2:28', 'peer.yaml:3:9'],
    );
  });

  it('behind an alias', () => {
    const lines = refused(`${smallest}gossip: { listen: &a { prt: 1 } }\nlink: { listen: *a }\n`);
    assert.deepEqual(lines, [
      'peer.yaml:4:24: error: unknown key "prt" in gossip.listen; did you mean "port"?',
      'peer.yaml:4:24: error: unknown key "prt" in link.listen; did you mean "port"?',
    ]);
  });

  it('and aliases that grow without bound are refused', () => {
    const levels = Array.from({ length: 9 }, (_, at) => {
      const name = String.fromCharCode(97 + at);
      const before = String.fromCharCode(96 + at);
      return at === 0 ? 'a: &a [x, x]' : `${name}: &${name} [${`*${before}, `.repeat(9)}]`;
    });
    assert.match(refused(levels.join('\n'))[0] ?? '', /Excessive alias count/u);
  });
});

describe('a file', () => {
  it('that does not exist is one problem', () => {
    const result = loadConfig('/nowhere/peer.yaml', world());
    assert.ok(!result.ok);
    assert.deepEqual(result.problems.map(formatProblem), [
      '/nowhere/peer.yaml:1:1: error: the file cannot be read; correct the path or its permissions',
    ]);
  });

  it('that is no text or too large is refused', () => {
    files.set('/etc/sailring/binary', Buffer.from([0xff, 0xfe, 0x00]));
    files.set('/etc/sailring/huge', Buffer.alloc(1_048_577, 0x23));
    for (const [name, message] of [
      ['binary', 'the file is not UTF-8 text'],
      ['huge', 'the file is larger than 1048576 bytes'],
    ] as const) {
      const result = loadConfig(`/etc/sailring/${name}`, world());
      assert.ok(!result.ok);
      assert.equal(result.problems[0]?.message, message);
    }
  });
});
