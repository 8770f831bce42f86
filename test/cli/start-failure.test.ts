import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeStartFailure } from '../../src/cli/start-failure.ts';
import { parseConfig } from '../../src/config/index.ts';

const parsed = parseConfig(
  `sip: { listeners: [{ transport: udp }, { transport: tcp, port: 5062 }] }
http: { listeners: [{}] }
application: { kind: embedded, module: demo }
`,
  'peer.yaml',
);
assert.ok(parsed.ok);
const { config } = parsed;

describe('why a peer did not start', () => {
  for (const [message, line] of [
    [
      'bind EADDRINUSE 127.0.0.1:5060',
      'cannot listen: 127.0.0.1:5060 (sip.listeners[0] in peer.yaml) is in use; stop what listens there or configure another port',
    ],
    [
      'listen EADDRINUSE: address already in use 127.0.0.1:5062',
      'cannot listen: 127.0.0.1:5062 (sip.listeners[1] in peer.yaml) is in use; stop what listens there or configure another port',
    ],
    [
      'listen EADDRNOTAVAIL: address not available 192.0.2.1:8080',
      'cannot listen: 192.0.2.1:8080 (http.listeners[0] in peer.yaml) is no address of this machine; configure one that is',
    ],
    [
      'No address added out of total 1 resolved errors: [listen EADDRINUSE: address already in use 127.0.0.1:7947]',
      'cannot listen: 127.0.0.1:7947 (link.listen in peer.yaml) is in use; stop what listens there or configure another port',
    ],
    [
      'listen EACCES: permission denied 127.0.0.1:80',
      'cannot listen: 127.0.0.1:80 may not be used by this user; configure a port above 1023 or grant the right',
    ],
    ['rules.xml:1:2: error: no', 'rules.xml:1:2: error: no'],
  ] as const)
    it(message, () => {
      assert.equal(describeStartFailure(new Error(message), config, 'peer.yaml'), line);
    });

  it('is looked for in causes and groups of errors', () => {
    const inner = new Error('bind EADDRINUSE 127.0.0.1:7946');
    for (const error of [
      new Error('gossip cannot start', { cause: inner }),
      new AggregateError([new Error('other'), inner], 'several'),
    ])
      assert.match(
        describeStartFailure(error, config, 'peer.yaml'),
        /gossip\.listen in peer\.yaml/u,
      );
  });

  it('is told of whatever was thrown', () => {
    assert.equal(describeStartFailure('odd', config, 'peer.yaml'), 'odd');
  });
});
