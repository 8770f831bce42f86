import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KeyAnswer, KeyOperation, Member, SwimInput } from '../../../src/gossip/index.ts';
import { decodeSerfMessage, type SerfMessage } from '../../../src/gossip/serf-message.ts';
import { unwrapUserState } from '../../../src/gossip/serf-state.ts';
import { SerfBridge } from '../../../src/io/gossip/serf-bridge.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

function member(name: string, port: number): Member {
  return { name, address: '127.0.0.1', port, tags: {}, state: 'alive', incarnation: 1 };
}

/** A bridge, and what it gave to the membership. */
class Watched {
  readonly bridge: SerfBridge;
  readonly counters = new Counters();
  readonly inputs: SwimInput[] = [];
  readonly own: string[] = [];
  readonly operations: KeyOperation[] = [];

  constructor(name = 'self', port = 1, gossipIntervalMs = 1) {
    this.bridge = new SerfBridge({
      name,
      endpoint: { address: '127.0.0.1', port },
      gossipIntervalMs,
      counters: this.counters,
      members: () => [member('self', 1), member('other', 2)],
      onInput: (input) => this.inputs.push(input),
      onOwnState: (bytes, from) =>
        this.own.push(`${from ?? '?'}: ${Buffer.from(bytes).toString()}`),
      onKeys: (operation): KeyAnswer => {
        this.operations.push(operation);
        return { isDone: true, message: '', keys: [] };
      },
    });
  }

  last<K extends SwimInput['kind']>(kind: K): Extract<SwimInput, { kind: K }> {
    const found = this.inputs.findLast((input) => input.kind === kind);
    assert.ok(found !== undefined);
    return found as Extract<SwimInput, { kind: K }>;
  }
}

function read(bytes: Uint8Array | undefined): SerfMessage {
  assert.ok(bytes !== undefined);
  const decoded = decodeSerfMessage(bytes);
  assert.ok(decoded.ok);
  return decoded.value;
}

describe('the bridge to serf', () => {
  it('has full syncs carry the state of the cluster in that of serf, and takes it out', () => {
    const [one, two] = [new Watched(), new Watched()];
    one.bridge.setOwnState(Buffer.from('rules'));
    const { bytes } = one.last('setUserState');
    assert.ok(unwrapUserState(bytes).ok);
    two.bridge.state(bytes, 'other');
    assert.deepEqual(two.own, ['other: rules']);
  });

  it('leaves with an intent', () => {
    const watched = new Watched();
    watched.bridge.leave();
    assert.deepEqual(read(watched.last('leave').intent), { kind: 'leave', time: 1, node: 'self' });
  });

  it('answers a question about keys', async () => {
    const [asking, asked] = [new Watched('self', 1, 1_000), new Watched('other', 2)];
    const answers = asking.bridge.askKeys({ kind: 'list' });
    const question = asking.last('broadcast').bytes;
    assert.equal(read(question).kind, 'query');
    asked.bridge.message(question);
    // What is done to keys may take its time: the answer comes in a later turn.
    await new Promise(setImmediate);
    assert.deepEqual(asked.operations, [{ kind: 'list' }]);
    const sent = asked.last('sendUser');
    assert.deepEqual(sent.to, { address: '127.0.0.1', port: 1 });
    asking.bridge.message(sent.bytes);
    const { answers: all, of } = await answers;
    assert.equal(of, 2);
    assert.deepEqual([...all.keys()].sort(), ['other', 'self']);
    asking.bridge.stop();
  });

  it('gives up waiting for answers in time', async () => {
    const { bridge, operations } = new Watched();
    const { answers, of } = await bridge.askKeys({ kind: 'use', key: new Uint8Array(16) });
    assert.equal(of, 2);
    assert.deepEqual([...answers.keys()], ['self']);
    assert.deepEqual(operations, [{ kind: 'use', key: new Uint8Array(16) }]);
  });

  it('gives up also when the timer comes a little early', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { bridge } = new Watched();
    const asked = bridge.askKeys({ kind: 'list' });
    await new Promise(setImmediate);
    t.mock.timers.tick(32);
    const overAt = performance.now() + 40;
    while (performance.now() < overAt);
    t.mock.timers.tick(32);
    const isOver = await Promise.race([asked.then(() => true), new Promise(setImmediate)]);
    assert.equal(isOver, true);
  });

  it('lets go who waits when it stops', async () => {
    const { bridge } = new Watched();
    const waiting = bridge.askKeys({ kind: 'list' });
    bridge.stop();
    assert.deepEqual(await waiting, { answers: new Map(), of: 0 });
  });

  it('counts what it drops', () => {
    const { bridge, counters } = new Watched();
    bridge.message(Uint8Array.of(77));
    assert.equal(counters.get('gossip_drops', 'serf-unsupported'), 1);
  });
});
