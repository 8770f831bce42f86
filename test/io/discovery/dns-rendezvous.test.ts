import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { isIPv6 } from 'node:net';
import type { DnsDiscoveryConfig } from '../../../src/config/index.ts';
import { DnsRendezvous } from '../../../src/io/discovery/dns-rendezvous.ts';
import { DnsServer } from '../../support/dns-server.ts';
import {
  engineContract,
  ourself,
  rendezvousContract,
  seedAt,
  Visit,
  type EngineKind,
  type RendezvousKind,
  type Surroundings,
} from './contract.ts';

const service = '_sailring._udp.cluster.test';
const peers = 'peers.cluster.test';

function rendezvous(
  server: DnsServer,
  name: DnsDiscoveryConfig,
  surroundings: Surroundings,
): DnsRendezvous {
  return new DnsRendezvous({
    name,
    servers: [server.address],
    pollIntervalMs: 20,
    times: { dnsTimeoutMs: 200, dnsTries: 1, dnsLookMs: 2_000 },
    ...surroundings,
  });
}

function engine(server: DnsServer): Omit<EngineKind, keyof RendezvousKind> {
  return {
    kill: () => server.stop(),
    revive: () => server.start(),
    hang: () => {
      server.isSilent = true;
    },
    wake: () => {
      server.isSilent = false;
    },
  };
}

const bySrv = async (t: TestContext): Promise<EngineKind> => {
  const server = await DnsServer.start(t);
  return {
    create: (surroundings) => rendezvous(server, { name: service, type: 'srv' }, surroundings),
    list: (seeds) => {
      for (const [at, { host }] of seeds.entries()) {
        const name = `peer-${at}.cluster.test`;
        server.addresses(name, 'A', isIPv6(host) ? [] : [host]);
        server.addresses(name, 'AAAA', isIPv6(host) ? [host] : []);
      }
      const targets = seeds.map(({ port }, at) => ({ target: `peer-${at}.cluster.test`, port }));
      server.targets(service, targets);
      return Promise.resolve();
    },
    ...engine(server),
  };
};

const byAddress = async (t: TestContext): Promise<EngineKind> => {
  const server = await DnsServer.start(t);
  const name: DnsDiscoveryConfig = { name: peers, type: 'address', port: 7946 };
  return {
    create: (surroundings) => rendezvous(server, name, surroundings),
    list: (seeds) => {
      const addresses = seeds.map(({ host }) => host);
      server.addresses(
        peers,
        'A',
        addresses.filter((address) => !isIPv6(address)),
      );
      server.addresses(peers, 'AAAA', addresses.filter(isIPv6));
      return Promise.resolve();
    },
    ...engine(server),
  };
};

for (const [name, open] of [
  ['DNS, SRV records', bySrv],
  ['DNS, addresses', byAddress],
] as const) {
  rendezvousContract(name, open);
  engineContract(name, open);
}

/** A look at SRV records that the test wrote. */
function visit(t: TestContext, server: DnsServer): Visit {
  const kind: RendezvousKind = {
    create: (surroundings) => rendezvous(server, { name: service, type: 'srv' }, surroundings),
    list: () => Promise.resolve(),
  };
  return new Visit(t, kind, ourself);
}

describe('discovery by DNS', { timeout: 30_000 }, () => {
  it('takes a name without records as nobody, not as an outage', async (t) => {
    const server = await DnsServer.start(t);
    const seen = visit(t, server);
    assert.deepEqual(await seen.next(), []);
    assert.equal(seen.counters.counter('discovery_dns_polls', 'alone').value, 1);
    assert.deepEqual(seen.log.lines, []);
  });

  it('takes a server that refuses as an outage, and says so once', async (t) => {
    const server = await DnsServer.start(t);
    server.isRefusing = true;
    const seen = visit(t, server);
    const first = seen.next();
    await seen.log.failures(3);
    assert.equal(seen.counters.counter('discovery_dns_polls', 'failed').value, 3);
    const warned = seen.log.lines.filter((line) => line.startsWith('warn'));
    assert.equal(warned.length, 1);
    assert.match(warned[0]!, /EREFUSED/u);
    server.isRefusing = false;
    await first;
    assert.ok(seen.log.lines.some((line) => line.startsWith('info')));
  });

  it('uses the targets that have addresses, and drops those without port or name', async (t) => {
    const server = await DnsServer.start(t);
    server.addresses('here.test', 'A', [seedAt(2).host]);
    server.targets(service, [
      { target: 'here.test', port: 7946 },
      { target: 'gone.test', port: 7946 },
      { target: 'here.test', port: 0 },
      { target: '.', port: 7946 },
    ]);
    const seen = visit(t, server);
    assert.deepEqual(await seen.next(), ['10.1.0.3:7946']);
    assert.equal(seen.counters.counter('discovery_drops', 'malformed').value, 2);
    assert.equal(seen.counters.counter('discovery_dns_polls', 'done').value, 1);
  });

  it('counts addresses above the limit', async (t) => {
    const server = await DnsServer.start(t);
    const addresses = Array.from({ length: 258 }, (_, at) => seedAt(at).host);
    server.addresses(peers, 'A', addresses);
    const kind: RendezvousKind = {
      create: (surroundings) =>
        rendezvous(server, { name: peers, type: 'address', port: 1 }, surroundings),
      list: () => Promise.resolve(),
    };
    const seen = new Visit(t, kind, ourself);
    assert.equal((await seen.next())?.length, 256);
    assert.equal(seen.counters.counter('discovery_drops', 'full').value, 2);
  });

  it('counts targets above the limit', async (t) => {
    const server = await DnsServer.start(t);
    const targets = Array.from({ length: 260 }, (_, at) => ({ target: 'x.test', port: at + 1 }));
    server.addresses('x.test', 'A', ['10.1.0.1']);
    server.targets(service, targets);
    const seen = visit(t, server);
    assert.equal((await seen.next())?.length, 256);
    assert.equal(seen.counters.counter('discovery_drops', 'full').value, 4);
  });

  it('ends a look after its time, whatever the server takes for each answer', async (t) => {
    const server = await DnsServer.start(t);
    server.isSilent = true;
    const kind: RendezvousKind = {
      create: (surroundings) =>
        new DnsRendezvous({
          name: { name: service, type: 'srv' },
          servers: [server.address],
          pollIntervalMs: 20,
          times: { dnsTimeoutMs: 60_000, dnsTries: 4, dnsLookMs: 50 },
          ...surroundings,
        }),
      list: () => Promise.resolve(),
    };
    const seen = new Visit(t, kind, ourself);
    void seen.next();
    await seen.log.failures(2);
    assert.match(seen.log.lines[0]!, /ECANCELLED/u);
  });
});
