import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clusterPeerYaml } from '../../src/cli/cluster-config.ts';
import { basePortMax, clusterPorts, wantedPorts } from '../../src/cli/cluster-ports.ts';
import { formatProblem, parseConfig } from '../../src/config/index.ts';

describe('the ports of a cluster', () => {
  it('are the usual ones without a base port', () => {
    assert.deepEqual(clusterPorts(2, undefined), {
      sip: 5060,
      http: 8080,
      peers: [
        {
          name: 'peer-1',
          sip: 7110,
          internal: 7111,
          http: 7112,
          admin: 7113,
          gossip: 7114,
          link: 7115,
        },
        {
          name: 'peer-2',
          sip: 7120,
          internal: 7121,
          http: 7122,
          admin: 7123,
          gossip: 7124,
          link: 7125,
        },
      ],
    });
  });

  it('all count from a base port', () => {
    assert.deepEqual(clusterPorts(1, 20_000), {
      sip: 20_000,
      http: 20_001,
      peers: [
        {
          name: 'peer-1',
          sip: 20_010,
          internal: 20_011,
          http: 20_012,
          admin: 20_013,
          gossip: 20_014,
          link: 20_015,
        },
      ],
    });
  });

  for (const [count, base] of [
    [32, undefined],
    [32, 1],
    [32, basePortMax(32)],
    [1, basePortMax(1)],
  ] as const)
    it(`are all different and possible: ${count} peers from ${String(base)}`, () => {
      const ports = wantedPorts(clusterPorts(count, base)).map((wanted) => wanted.port);
      assert.equal(ports.length, 2 + 6 * count);
      assert.equal(new Set(ports).size, ports.length);
      assert.ok(ports.every((port) => port >= 1 && port <= 65_535));
    });
});

describe('the configuration of a peer in a cluster', () => {
  it('is accepted, knows the other peers and the public address', () => {
    const ports = clusterPorts(3, 20_000);
    const secret = 's'.repeat(43);
    const text = clusterPeerYaml(ports.peers[1]!, ports, secret, '/rules.xml');
    const result = parseConfig(text, '/tmp/peer-2.yaml', {
      hostname: 'x',
      env: {},
      readFile: () => new Uint8Array(),
    });
    assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
    const { config } = result;
    assert.equal(config.name, 'peer-2');
    assert.deepEqual(config.gossip.seeds, ['127.0.0.1:20014', '127.0.0.1:20034']);
    assert.equal(config.sip.publicAddress, '127.0.0.1:20000');
    assert.equal(config.rules.file, '/rules.xml');
    assert.equal(Buffer.from(config.stamps.keys[0]!.secret).toString(), secret);
  });
});
