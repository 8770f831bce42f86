import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pipelineLimits, transactionLimits } from '../../src/config/defaults.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import type { InstanceStatus } from '../../src/pipeline/view.ts';
import type { Refusal } from '../../src/sip/index.ts';
import { clusterView } from '../support/pipeline-parts.ts';
import { callOf, PipelinePeer, roomRules, routesOf } from '../support/pipeline-peer.ts';
import type { RequestOptions } from '../support/sip-text.ts';

const three = { a: 'ready', b: 'ready', c: 'ready' } as const;

function peerOf(statuses: Readonly<Record<string, InstanceStatus>> = three): PipelinePeer {
  return new PipelinePeer('a', clusterView('a', statuses));
}

/** Application of b, as `clusterView` numbers it; and of c. */
const applicationOfB = 'sip:bob@10.0.0.2:5080';
const applicationOfC = 'sip:carol@10.0.0.3:5080;transport=udp';

describe('Explicitly addressed requests', () => {
  const cases: readonly (readonly [string, RequestOptions, string, string])[] = [
    ['Request-URI of what begins', { uri: applicationOfB }, 'b', 'addressed'],
    [
      'top Route before Request-URI',
      { uri: applicationOfB, extra: [`Route: <${applicationOfC};lr>`] },
      'c',
      'addressed',
    ],
    [
      'our own Route does not count',
      { uri: applicationOfB, extra: ['Route: <sip:sip.example.net;lr>'] },
      'b',
      'addressed',
    ],
    [
      'behind our own Route',
      { extra: [`Route: <sip:sip.example.net;lr>, <${applicationOfC};lr>`] },
      'c',
      'addressed',
    ],
    [
      'a Route that wants itself in the Request-URI',
      { extra: [`Route: <${applicationOfC}>`] },
      'c',
      'addressed',
    ],
    [
      'Request-URI behind a foreign Route of what begins',
      { uri: applicationOfB, extra: ['Route: <sip:far.example.org;lr>'] },
      'b',
      'addressed',
    ],
    [
      'Request-URI in a dialog',
      { method: 'BYE', toTag: 't', uri: applicationOfB },
      'b',
      'addressed',
    ],
    [
      'but not while a Route remains',
      {
        method: 'BYE',
        toTag: 't',
        uri: applicationOfB,
        extra: ['Route: <sip:far.example.org;lr>'],
      },
      'a',
      'fallback',
    ],
    ['another port names nobody', { uri: 'sip:bob@10.0.0.2' }, 'a', 'fallback'],
    [
      'nor does a user part that looks like it',
      { uri: 'sip:10.0.0.2:5080@example.com' },
      'a',
      'fallback',
    ],
  ];
  for (const [name, options, instance, reason] of cases) {
    it(`go to the instance that they name: ${name}`, () => {
      const peer = peerOf();
      assert.equal(peer.route({ callId: callOf('a', three), ...options }), instance);
      assert.equal(peer.last.envelope.reason, reason);
      assert.equal(
        peer.last.message.requestUri,
        options.extra?.[0] === `Route: <${applicationOfC}>`
          ? applicationOfC
          : (options.uri ?? 'sip:alice@example.com'),
      );
    });
  }

  it('need a ready instance to begin something, and one that is not disabled inside a dialog', () => {
    const expected: readonly (readonly [InstanceStatus, string, string])[] = [
      ['ready', 'b', 'b'],
      ['draining', 'a', 'b'],
      ['joining', 'a', 'b'],
      ['disabled', 'a', 'a'],
    ];
    for (const [status, begun, gone] of expected) {
      const peer = peerOf({ a: 'ready', b: status });
      assert.equal(peer.route({ uri: applicationOfB }), begun, status);
      assert.equal(peer.route({ method: 'BYE', toTag: 't', uri: applicationOfB }), gone, status);
    }
  });

  it('find the port that a scheme has by itself', () => {
    const applications = new Map([
      ['app.example.com:5060', 'b'],
      ['app.example.com:5061', 'c'],
    ]);
    const peer = new PipelinePeer('a', clusterView('a', three, { applications }));
    assert.equal(peer.route({ uri: 'sip:x@APP.example.com' }), 'b');
    assert.equal(peer.route({ uri: 'sips:x@app.example.com', cseq: 2 }), 'c');
  });

  it('come after the stamp, and before what memory knows', () => {
    const peer = peerOf();
    const owner = peer.route({ callId: callOf('a', three) });
    const extra = [...routesOf(peer.last.message)];
    const toTag = 'to1';
    assert.equal(
      peer.route({ method: 'BYE', callId: callOf('a', three), toTag, uri: applicationOfB, extra }),
      owner,
    );
    peer.route({ callId: callOf('c', three) });
    assert.equal(peer.route({ callId: callOf('c', three), uri: applicationOfB }), 'b');
    peer.view = clusterView('a', { a: 'ready', b: 'draining', c: 'ready' });
    assert.equal(
      peer.route({ method: 'CANCEL', callId: callOf('c', three), uri: applicationOfB }),
      'b',
    );
    assert.equal(peer.last.envelope.reason, 'memory');
  });

  it('come before the heir of a stamp whose instance is gone', () => {
    const peer = peerOf({ ...three, d: 'ready' });
    const owner = peer.route({});
    const extra = routesOf(peer.last.message);
    const left = Object.fromEntries(
      Object.entries({ ...three, d: 'ready' } as const).filter(([name]) => name !== owner),
    );
    for (const name of Object.keys(left)) {
      peer.view = clusterView('a', left);
      const uri = `sip:x@10.0.0.${name.charCodeAt(0) - 0x60}:5080`;
      assert.equal(peer.route({ method: 'BYE', toTag: 'to1', uri, extra }), name);
      assert.equal(peer.last.envelope.reason, 'addressed');
    }
  });

  it('bear the rules’ key, so that its successor is that of the rules', () => {
    const peer = peerOf();
    peer.rules = roomRules;
    peer.route({ uri: applicationOfB, extra: ['X-Room: r'] });
    assert.equal(peer.last.envelope.keyDigest, digestOf('r'));
    peer.rules = { ...roomRules, sipKey: () => ({ number: '+1' }) };
    peer.route({ uri: applicationOfB, cseq: 2 });
    assert.equal(peer.last.envelope.keyDigest, digestOf('from1\ncall-1@client'));
  });
});

describe('Failover of requests that name an instance', () => {
  /** A view after b died. */
  function afterB(): PipelinePeer {
    const departed = new Map([
      ['10.0.0.2:5080', 'b'],
      ['10.0.0.9:5080', 'z'],
    ]);
    return new PipelinePeer('a', clusterView('a', { a: 'ready' }, { departed }));
  }
  const bye = { method: 'BYE', toTag: 't' } as const;
  const routed = '<sip:bob@10.0.0.2:5080;lr;x=1>';
  const cases: readonly (readonly [string, RequestOptions, string, string[]])[] = [
    ['the Request-URI', { ...bye, uri: applicationOfB }, 'sip:bob@10.0.0.1:5080', []],
    [
      'the Request-URI of what begins',
      { uri: `${applicationOfB};x=1` },
      'sip:bob@10.0.0.1:5080;x=1',
      [],
    ],
    [
      'the Route',
      { ...bye, extra: [`Route: ${routed}`] },
      'sip:alice@example.com',
      ['<sip:bob@10.0.0.1:5080;lr;x=1>'],
    ],
    [
      'both',
      { ...bye, uri: applicationOfB, extra: [`Route: ${routed}`] },
      'sip:bob@10.0.0.1:5080',
      ['<sip:bob@10.0.0.1:5080;lr;x=1>'],
    ],
    [
      'the Route alone, where the Request-URI named another',
      { ...bye, uri: 'sip:z@10.0.0.9:5080', extra: [`Route: ${routed}`] },
      'sip:z@10.0.0.9:5080',
      ['<sip:bob@10.0.0.1:5080;lr;x=1>'],
    ],
    [
      'nothing behind a foreign Route',
      { ...bye, uri: applicationOfB, extra: ['Route: <sip:far.example.org;lr>'] },
      applicationOfB,
      ['<sip:far.example.org;lr>'],
    ],
    [
      'the Route on a line with others',
      { ...bye, extra: [`Route: <sip:sip.example.net;lr> , ${routed}, <sip:far.example.org;lr>`] },
      'sip:alice@example.com',
      ['<sip:bob@10.0.0.1:5080;lr;x=1>', '<sip:far.example.org;lr>'],
    ],
    [
      'the last Route on a line',
      { ...bye, extra: [`Route: <sip:sip.example.net;lr>,${routed}`] },
      'sip:alice@example.com',
      ['<sip:bob@10.0.0.1:5080;lr;x=1>'],
    ],
    [
      'a strict Route and the Request-URI behind it',
      { ...bye, uri: applicationOfB, extra: ['Route: <sip:10.0.0.2:5080>'] },
      'sip:10.0.0.1:5080',
      ['<sip:bob@10.0.0.1:5080>'],
    ],
  ];
  for (const [name, options, uri, routes] of cases) {
    it(`changes ${name}`, () => {
      const peer = afterB();
      peer.route(options);
      assert.equal(peer.last.message.requestUri, uri);
      assert.deepEqual(peer.last.message.headers('route'), routes);
      assert.equal(peer.last.message.flaw, undefined);
    });
  }

  it('changes what names an instance that lives but cannot be reached or is disabled', () => {
    const peer = peerOf();
    peer.unreachable.add('b');
    const instance = peer.route({ ...bye, uri: applicationOfB });
    const [address] = peer.view.instances.get(instance)!.applications;
    assert.equal(peer.last.message.requestUri, `sip:bob@${address}`);
    const disabled = peerOf({ a: 'ready', b: 'disabled' });
    disabled.route({ ...bye, uri: applicationOfB });
    assert.equal(disabled.last.message.requestUri, 'sip:bob@10.0.0.1:5080');
  });

  it('takes the heir of a stamp to its own application', () => {
    const peer = peerOf();
    const owner = peer.route({});
    const [address] = peer.view.instances.get(owner)!.applications;
    const extra = routesOf(peer.last.message);
    peer.view = clusterView('a', { ...three, [owner]: 'disabled' });
    const heir = peer.route({ ...bye, uri: `sip:x@${address}`, extra });
    const [heirAddress] = peer.view.instances.get(heir)!.applications;
    assert.equal(peer.last.message.requestUri, `sip:x@${heirAddress}`);
  });

  it('leaves a request to its stamped instance alone, whomever it names', () => {
    const peer = peerOf();
    const owner = peer.route({});
    const extra = routesOf(peer.last.message);
    const uri = owner === 'b' ? applicationOfC : applicationOfB;
    peer.route({ ...bye, uri, extra });
    assert.equal(peer.last.message.requestUri, uri);
  });

  it('removes the Route where the application is embedded and has no address', () => {
    const view = clusterView('a', { a: 'ready' }, { departed: new Map([['10.0.0.2:5080', 'b']]) });
    const [instance] = view.instances.values();
    const instances = new Map([['a', { ...instance!, applications: [] }]]);
    const peer = new PipelinePeer('a', { ...view, instances, applications: new Map() });
    peer.route({
      ...bye,
      uri: applicationOfB,
      extra: [`Route: ${routed}, <sip:far.example.org;lr>`],
    });
    assert.deepEqual(peer.last.message.headers('route'), ['<sip:far.example.org;lr>']);
    assert.equal(peer.last.message.requestUri, applicationOfB);
  });

  it('changes no address that the serving instance has, too', () => {
    const departed = new Map([['10.0.0.1:5080', 'b']]);
    const peer = new PipelinePeer(
      'a',
      clusterView('a', { a: 'ready' }, { applications: new Map(), departed }),
    );
    peer.route({ ...bye, uri: 'sip:bob@10.0.0.1:5080' });
    assert.equal(peer.last.message.requestUri, 'sip:bob@10.0.0.1:5080');
  });
});

describe('Transaction memory', () => {
  it('is not asked for what its stamp routes, and does not grow by it', () => {
    const peer = peerOf();
    peer.route({});
    const extra = routesOf(peer.last.message);
    for (let cseq = 2; cseq < 5; cseq++) {
      peer.route({ method: 'INFO', toTag: 'to1', cseq, extra });
      assert.equal(peer.last.envelope.reason, 'stamp');
      assert.equal(peer.last.envelope.transaction, '');
    }
    assert.equal(peer.memory.size, 1);
  });

  it('brings a retransmission to the first one’s instance though rules and ring have changed', () => {
    const peer = peerOf();
    const first = peer.route({});
    assert.match(peer.last.envelope.transaction, /^i[0-9a-z]+$/);
    peer.rules = {
      ...roomRules,
      sipKey: () => {
        throw new Error('not asked');
      },
    };
    peer.view = clusterView('a', { ...three, d: 'ready', e: 'ready', [first]: 'disabled' });
    assert.equal(peer.route({}), first);
    assert.equal(peer.last.envelope.reason, 'memory');
    const left = Object.fromEntries(Object.entries(three).filter(([name]) => name !== first));
    peer.view = clusterView('a', left);
    const successor = peer.route({});
    assert.equal(successor, peer.view.ring.owner(digestOf('from1\ncall-1@client')));
    peer.view = clusterView('a', three);
    assert.equal(peer.route({}), successor);
  });

  it('forgets a transaction when its time is over', () => {
    const peer = peerOf();
    peer.route({ method: 'OPTIONS' });
    peer.nowMs += 2 * transactionLimits.timeoutMs + 1;
    peer.route({ method: 'OPTIONS' });
    assert.equal(peer.last.envelope.reason, 'fallback');
  });

  it('keeps requests of one number apart from the INVITE of the same number', () => {
    const peer = peerOf();
    peer.rules = roomRules;
    peer.route({ extra: ['X-Room: r'] });
    peer.route({ method: 'OPTIONS' });
    assert.equal(peer.last.envelope.reason, 'fallback');
  });
});

describe('OPTIONS for the peer itself', () => {
  const own: RequestOptions = { method: 'OPTIONS', uri: 'sip:sip.example.net' };

  it('tells whether the peer is ready', () => {
    const expected: readonly (readonly [InstanceStatus | undefined, number])[] = [
      ['ready', 200],
      ['draining', 503],
      ['joining', 503],
      ['disabled', 503],
      [undefined, 503],
    ];
    for (const [status, answer] of expected) {
      const peer = peerOf({ b: 'ready', ...(status === undefined ? {} : { a: status }) });
      peer.hear({ ...own, extra: ['Route: <sip:sip.example.net;lr>'] });
      assert.equal(peer.answered[0]?.message.status, answer, status);
      const retryAfter = answer === 200 ? undefined : String(pipelineLimits.retryAfterSeconds);
      assert.equal(peer.answered[0].message.header('retry-after'), retryAfter);
      assert.equal(peer.delivered.length, 0);
    }
  });

  it('tells that the peer is not ready, whatever its instance is, while it wants no more', () => {
    let isUnready = true;
    const peer = new PipelinePeer('a', clusterView('a', three), { isUnready: () => isUnready });
    peer.hear(own);
    isUnready = false;
    peer.hear({ ...own, callId: 'later' });
    assert.deepEqual(
      peer.answered.map(({ message }) => message.status),
      [503, 200],
    );
  });

  it('is none with a user, another host, a To tag, a Route left or another method', () => {
    const others: readonly RequestOptions[] = [
      { ...own, uri: 'sip:alice@sip.example.net' },
      { ...own, uri: 'sip:other.example.net' },
      { ...own, toTag: 't' },
      { ...own, extra: ['Route: <sip:far.example.org;lr>'] },
      { ...own, method: 'MESSAGE' },
    ];
    const peer = peerOf();
    for (const [cseq, options] of others.entries()) peer.route({ ...options, cseq: cseq + 1 });
    assert.equal(peer.answered.length, 0);
  });
});

describe('Refusal of what is new', () => {
  const busy: Refusal = {
    status: 503,
    reason: 'Service Unavailable',
    cause: 'overload',
    headers: [['Retry-After', '7']],
  };

  function refusing(): { peer: PipelinePeer; turn: (isOn: boolean) => void } {
    let refusal: Refusal | undefined;
    const refusesNew = (): Refusal | undefined => refusal;
    const peer = new PipelinePeer('a', clusterView('a', three), { refusesNew });
    return { peer, turn: (isOn) => (refusal = isOn ? busy : undefined) };
  }

  it('meets what begins, also when it names an instance', () => {
    const { peer, turn } = refusing();
    turn(true);
    for (const uri of ['sip:alice@example.com', applicationOfB]) peer.hear({ uri });
    peer.hear({ method: 'REGISTER' });
    assert.deepEqual(
      peer.answered.map(({ message }) => [message.status, message.header('retry-after')]),
      [1, 2, 3].map(() => [503, '7']),
    );
    assert.equal(peer.counters.get('sip_refusals', 'overload'), 3);
    assert.equal(peer.memory.size, 0);
  });

  it('never meets what goes on: retransmissions, CANCEL, ACK, dialogs with and without stamp', () => {
    const { peer, turn } = refusing();
    peer.route({});
    const extra = routesOf(peer.last.message);
    turn(true);
    peer.route({});
    for (const method of ['CANCEL', 'ACK']) peer.route({ method });
    peer.route({ method: 'CANCEL', callId: 'of-another-peer' });
    peer.route({ method: 'BYE', cseq: 2, toTag: 'to1', extra });
    peer.route({ method: 'BYE', cseq: 3, toTag: 'to1' });
    peer.route({ method: 'OPTIONS', cseq: 4, extra });
    assert.equal(peer.answered.length, 0);
  });

  it('does not take away who draining peers serve: they only begin nothing', () => {
    const peer = peerOf();
    const owner = peer.route({});
    const extra = routesOf(peer.last.message);
    peer.view = clusterView('a', { ...three, a: 'draining' });
    assert.equal(peer.route({ method: 'BYE', cseq: 2, toTag: 'to1', extra }), owner);
    for (let call = 0; call < 10; call++) assert.notEqual(peer.route({ callId: `c${call}` }), 'a');
  });
});
