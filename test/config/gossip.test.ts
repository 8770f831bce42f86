import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits } from '../../src/config/defaults.ts';
import { parseConfig, type Config, type ConfigWorld } from '../../src/config/index.ts';

const key16 = Buffer.alloc(16, 1).toString('base64');
const key24 = Buffer.alloc(24, 2).toString('base64');
const key32 = Buffer.alloc(32, 3).toString('base64');
const rest = `
sip: { listeners: [{ transport: udp }] }
application: { kind: embedded, module: demo }
stamps: { keys: [{ id: a, secret: 0123456789abcdef }] }`;
const world: ConfigWorld = {
  hostname: 'test',
  env: { GOSSIP_KEY: key24 },
  readFile: (path) => (path === '/etc/sailring/gossip.key' ? Buffer.from(`${key32}\n`) : undefined),
};

function parsed(gossip: string): ReturnType<typeof parseConfig> {
  return parseConfig(`gossip: ${gossip}${rest}`, '/etc/sailring/peer.yaml', world);
}

function accepted(gossip: string): Config['gossip'] {
  const result = parsed(gossip);
  assert.ok(result.ok, JSON.stringify(result));
  return result.config.gossip;
}

function refused(gossip: string): string[] {
  const result = parsed(gossip);
  assert.ok(!result.ok);
  return result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

describe('keys of gossip', () => {
  it('are base64 of 16, 24 or 32 bytes, from the file itself, a file or the environment', () => {
    const { keys } = accepted(`{ keys: ["${key16}", { env: GOSSIP_KEY }, { file: gossip.key }] }`);
    assert.deepEqual(
      keys.map((key) => Buffer.from(key).toString('base64')),
      [key16, key24, key32],
    );
  });

  it('are none by default', () => {
    assert.deepEqual(accepted('{}').keys, []);
  });

  it('allow gossip off loopback', () => {
    const listen = 'listen: { address: 192.0.2.1 }';
    assert.equal(accepted(`{ ${listen}, keys: ["${key32}"] }`).insecure, false);
    assert.deepEqual(refused(`{ ${listen}, keys: [] }`), [
      '1:30 gossip on 192.0.2.1 would be open to the network without encryption',
    ]);
  });

  const faults: readonly (readonly [string, string, string])[] = [
    [
      'no base64',
      '{ keys: ["not a key!"] }',
      '1:18 gossip key 1 is not 16, 24 or 32 bytes as base64',
    ],
    [
      'of another size',
      `{ keys: ["${key16}", "${Buffer.alloc(20).toString('base64')}"] }`,
      '1:46 gossip key 2 is not 16, 24 or 32 bytes as base64',
    ],
    ['there twice', `{ keys: ["${key16}", "${key16}"] }`, '1:46 gossip key 2 is there twice'],
    ['in no file', '{ keys: [{ file: none }] }', '1:26 cannot read /etc/sailring/none'],
    [
      'in no variable',
      '{ keys: [{ env: NONE }] }',
      '1:25 the environment variable NONE is not set',
    ],
    ['no secret at all', '{ keys: [5] }', '1:18 gossip.keys[0] is not a secret'],
  ];
  for (const [title, gossip, problem] of faults) {
    it(`are refused when one is ${title}`, () => {
      const problems = refused(gossip);
      assert.equal(problems.length, 1);
      assert.ok(problems[0]!.startsWith(problem), problems[0]);
    });
  }

  it(`are ${gossipLimits.keysMax} at most`, () => {
    const keys = Array.from({ length: gossipLimits.keysMax + 1 }, (_, at) =>
      JSON.stringify(Buffer.alloc(16, at).toString('base64')),
    );
    assert.equal(accepted(`{ keys: [${keys.slice(1).join()}] }`).keys.length, gossipLimits.keysMax);
    assert.equal(refused(`{ keys: [${keys.join()}] }`).length, 1);
  });

  it('never stand in a problem', () => {
    const hush = Buffer.from('hush-hush-hush').toString('base64');
    const problems = refused(`{ keys: ["${hush}", "${key16}", "${key16}"] }`);
    assert.equal(problems.length, 2);
    assert.doesNotMatch(problems.join(), new RegExp(`${hush}|${key16}`, 'u'));
  });
});

describe('sources that gossip listens to', () => {
  it('are addresses and networks', () => {
    const { allow } = accepted('{ allow: ["10.0.0.0/8", "192.0.2.7", "fd00::/8"] }');
    assert.deepEqual(allow, ['10.0.0.0/8', '192.0.2.7', 'fd00::/8']);
    assert.deepEqual(accepted('{}').allow, []);
  });

  it(`are ${gossipLimits.allowedSourcesMax} at most`, () => {
    const { allowedSourcesMax } = gossipLimits;
    const networks = Array.from({ length: allowedSourcesMax + 1 }, () => '10.0.0.1');
    const { allow } = accepted(`{ allow: [${networks.slice(1).join()}] }`);
    assert.equal(allow.length, allowedSourcesMax);
    assert.equal(refused(`{ allow: [${networks.join()}] }`).length, 1);
  });

  it('are refused where they are none', () => {
    const problems = refused('{ allow: ["10.0.0.0/8", everybody] }');
    assert.deepEqual(problems, [
      '1:33 gossip.allow[1] "everybody" is neither an IP address nor a network',
    ]);
  });
});
