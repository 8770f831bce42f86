import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { discoveryLimits } from '../../src/config/defaults.ts';
import {
  formatProblem,
  parseConfig,
  type ConfigWorld,
  type DiscoveryConfig,
} from '../../src/config/index.ts';

const folder = '/etc/sailring';

function world(changes: Partial<ConfigWorld> = {}): ConfigWorld {
  return { hostname: 'test', env: {}, readFile: () => Buffer.from('from a file\n'), ...changes };
}

function parse(discovery: unknown, from: ConfigWorld, gossip: object = {}) {
  const text = JSON.stringify({
    sip: { listeners: [{ transport: 'udp' }] },
    application: { kind: 'embedded', module: 'demo' },
    stamps: { keys: [{ id: 'a', secret: '0123456789abcdef' }] },
    gossip: { ...gossip, discovery },
  });
  return parseConfig(text, join(folder, 'peer.yaml'), from);
}

function accepted(discovery: unknown, from: ConfigWorld = world()): DiscoveryConfig {
  const result = parse(discovery, from);
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  return result.config.gossip.discovery;
}

function refused(discovery: unknown, from: ConfigWorld = world(), gossip = {}): string[] {
  const result = parse(discovery, from, gossip);
  return result.ok ? [] : result.problems.map(({ message }) => message);
}

const endpoints = ['http://127.0.0.1:2379'];

describe('gossip.discovery', () => {
  it('is complete with defaults', () => {
    assert.deepEqual(accepted({}), { dns: [], dnsServers: [], pollIntervalMs: 30_000 });
    assert.deepEqual(accepted({ etcd: { endpoints } }).etcd, {
      endpoints,
      prefix: '/sailring',
      ttlMs: 15_000,
    });
  });

  it('takes all of its keys, reads the password and makes paths absolute', () => {
    const given = {
      dns: [
        { name: '_sailring._udp.example.com', type: 'srv' },
        { name: 'peers.example.com', type: 'address', port: 7946 },
      ],
      dnsServers: ['192.0.2.53:53'],
      etcd: {
        endpoints: ['https://etcd-1.example.com:2379', 'https://[2001:db8::1]:2379/'],
        prefix: '/carrier/sailring',
        ttlMs: 10_000,
        username: 'sailring',
        password: { file: 'secrets/etcd' },
        tls: { ca: 'tls/ca.pem', certificate: 'tls/peer.pem', key: 'tls/peer.key' },
      },
      pollIntervalMs: 5_000,
    };
    assert.deepEqual(accepted(given), {
      ...given,
      etcd: {
        ...given.etcd,
        password: 'from a file',
        tls: {
          ca: `${folder}/tls/ca.pem`,
          certificate: `${folder}/tls/peer.pem`,
          key: `${folder}/tls/peer.key`,
        },
      },
    });
  });

  it('reads the password from the environment, and says what is missing', () => {
    const etcd = { endpoints, username: 'a', password: { env: 'ETCD_PASSWORD' } };
    const found = accepted({ etcd }, world({ env: { ETCD_PASSWORD: 'hush' } }));
    assert.equal(found.etcd?.password, 'hush');
    assert.deepEqual(refused({ etcd }), ['the environment variable ETCD_PASSWORD is not set']);
    const missing = world({ readFile: () => undefined });
    assert.deepEqual(
      refused({ etcd: { endpoints: ['https://etcd:2379'], tls: { ca: 'ca.pem' } } }, missing),
      [`cannot read ${folder}/ca.pem`],
    );
  });

  it('is enough to find others by, so it needs stamp keys and allows waiting for others', () => {
    assert.deepEqual(refused({ etcd: { endpoints } }, world(), { allowAlone: false }), []);
    assert.deepEqual(refused({}, world(), { allowAlone: false }), [
      'a peer without seeds that may not be alone never becomes ready',
    ]);
    const text = JSON.stringify({
      sip: { listeners: [{ transport: 'udp' }] },
      application: { kind: 'embedded', module: 'demo' },
      gossip: { discovery: { etcd: { endpoints } } },
    });
    const result = parseConfig(text, 'peer.yaml', world());
    assert.ok(!result.ok);
    assert.deepEqual(
      result.problems.map(({ message }) => message),
      ['this peer joins others, but no stamp keys are configured'],
    );
  });

  const bad: readonly (readonly [name: string, discovery: unknown, problem: RegExp])[] = [
    [
      'addresses without a port',
      { dns: [{ name: 'a.example', type: 'address' }] },
      /^addresses of DNS have no port$/u,
    ],
    [
      'SRV records with a port',
      { dns: [{ name: 'a.example', type: 'srv', port: 1 }] },
      /^SRV records have their own port$/u,
    ],
    ...['192.0.2.1', 'a..b', 'a b', '', 'x'.repeat(64)].map(
      (name) =>
        [
          `the name "${name}"`,
          { dns: [{ name, type: 'srv' }] },
          /gossip\.discovery\.dns\[0\]\.name/u,
        ] as const,
    ),
    [
      'more names than are asked for',
      {
        dns: Array.from({ length: discoveryLimits.dnsNamesMax + 1 }, () => ({
          name: 'a.example',
          type: 'srv',
        })),
      },
      /gossip\.discovery\.dns/u,
    ],
    [
      'more endpoints than are tried',
      {
        etcd: {
          endpoints: Array.from(
            { length: discoveryLimits.etcdEndpointsMax + 1 },
            (_, at) => `http://127.0.0.1:${at + 1}`,
          ),
        },
      },
      /gossip\.discovery\.etcd\.endpoints/u,
    ],
    ['no endpoint', { etcd: { endpoints: [] } }, /gossip\.discovery\.etcd\.endpoints/u],
    ['an endpoint twice', { etcd: { endpoints: [...endpoints, ...endpoints] } }, /named twice/u],
    ...[
      'etcd:2379',
      'ftp://etcd:2379',
      'http://etcd:2379/v3',
      'http://user:secret@etcd:2379',
      'http://etcd:2379/?a=1',
      '',
    ].map(
      (endpoint) =>
        [
          `the endpoint "${endpoint}"`,
          { etcd: { endpoints: [endpoint] } },
          /is no address of etcd/u,
        ] as const,
    ),
    ...['sailring', '/', '/a/', '/a//b', '/a b', '/a/b/c/d', `/${'a'.repeat(65)}`].map(
      (prefix) =>
        [
          `the prefix "${prefix}"`,
          { etcd: { endpoints, prefix } },
          /gossip\.discovery\.etcd\.prefix/u,
        ] as const,
    ),
    ['a user without a password', { etcd: { endpoints, username: 'a' } }, /needs both username/u],
    ['a password without a user', { etcd: { endpoints, password: 'a' } }, /needs both username/u],
    [
      'a password in clear text',
      { etcd: { endpoints: ['http://192.0.2.1:2379'], username: 'a', password: 'hush' } },
      /^the password of etcd would be readable on the way to http:\/\/192\.0\.2\.1:2379$/u,
    ],
    ['TLS for clear text', { etcd: { endpoints, tls: { ca: 'a' } } }, /spoken to in TLS/u],
    [
      'a certificate without its key',
      { etcd: { endpoints: ['https://etcd:2379'], tls: { certificate: 'a' } } },
      /needs both certificate and key/u,
    ],
    [
      'a key without its certificate',
      { etcd: { endpoints: ['https://etcd:2379'], tls: { key: 'a' } } },
      /needs both certificate and key/u,
    ],
  ];
  for (const [name, discovery, problem] of bad) {
    it(`refuses ${name}`, () => {
      const problems = refused(discovery);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0]!, problem);
      assert.ok(!problems[0]!.includes('hush'));
    });
  }

  it('allows a password in clear text on this machine and where the network is our own', () => {
    const etcd = { endpoints: ['http://192.0.2.1:2379'], username: 'a', password: 'b' };
    assert.deepEqual(refused({ etcd }, world(), { insecure: true }), []);
    assert.deepEqual(refused({ etcd: { ...etcd, endpoints: ['http://[::1]:2379'] } }), []);
  });
});
