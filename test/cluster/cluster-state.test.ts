import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { announcedDigest, ClusterState } from '../../src/cluster/index.ts';
import { clusterLimits } from '../../src/config/defaults.ts';

function row(...cells: readonly unknown[]): Buffer {
  return Buffer.from(JSON.stringify({ format: 1, entries: [cells] }));
}

describe('the cluster state', () => {
  it('gives back what was decided, at every peer that took it in', () => {
    const a = new ClusterState('a');
    const b = new ClusterState('b');
    a.setRules({ format: 'xml', text: '<user-centric-rules/>' });
    a.setPolicy({ algorithm: 'round-robin' });
    a.setInstance('b', { status: 'disabled', weight: 2, quiesceMs: 9 });
    const received = b.receive(a.bytes);
    assert.deepEqual(received, {
      kind: 'changed',
      keys: new Set(['rules', 'policy', 'instance/b']),
    });
    assert.deepEqual(b.rules, { format: 'xml', text: '<user-centric-rules/>' });
    assert.deepEqual(b.policy, { algorithm: 'round-robin' });
    assert.deepEqual(b.instance('b'), { status: 'disabled', weight: 2, quiesceMs: 9 });
    assert.deepEqual(b.instances(), [
      { name: 'b', flags: { status: 'disabled', weight: 2, quiesceMs: 9 } },
    ]);
    assert.equal(b.digest, a.digest);
    b.setRules(undefined);
    b.setInstance('b', undefined);
    a.receive(b.bytes);
    assert.equal(a.rules, undefined);
    assert.equal(a.instance('b'), undefined);
    assert.deepEqual(a.instances(), []);
  });

  const unknown: readonly (readonly [key: string, value: unknown])[] = [
    ['rules', 'text'],
    ['rules', { format: 'lua', text: 'x' }],
    ['policy', { algorithm: 'least-loaded' }],
    ['policy', []],
    ['instance/a', { status: 'sleeping' }],
    ['instance/a', { status: 'enabled', weight: 0 }],
    ['instance/a', { status: 'disabled', quiesceMs: 1.5 }],
    ['instance/a', null],
  ];
  for (const [key, value] of unknown) {
    it(`keeps, but does not act on, ${key} ${JSON.stringify(value)} of another version`, () => {
      const state = new ClusterState('a');
      assert.equal(state.receive(row(key, 1, 'p', value)).kind, 'changed');
      assert.equal(state.rules, undefined);
      assert.deepEqual(state.policy, {});
      assert.equal(state.instance('a'), undefined);
      assert.deepEqual(state.instances(), []);
      assert.deepEqual(state.entries()[0]?.value, value);
    });
  }

  it('acts on what it understands of a decision of a later version', () => {
    const state = new ClusterState('a');
    state.receive(row('policy', 1, 'p', { algorithm: 'round-robin', more: 1 }));
    state.receive(row('instance/a', 1, 'p', { status: 'disabled', zone: 'x' }));
    assert.deepEqual(state.policy, { algorithm: 'round-robin' });
    assert.deepEqual(state.instance('a'), { status: 'disabled' });
  });

  it('knows who has nothing new: equal states, former ones of its own, those taken in or refused', () => {
    const state = new ClusterState('a');
    const announced = (): string => announcedDigest(state.digest);
    const empty = announced();
    assert.ok(state.includes(empty));
    state.setPolicy({ algorithm: 'round-robin' });
    const first = announced();
    assert.ok(state.includes(empty));
    const other = new ClusterState('b');
    other.setInstance('b', { status: 'enabled' });
    const theirs = announcedDigest(other.digest);
    assert.equal(state.includes(theirs), false);
    state.receive(other.bytes);
    assert.ok(state.includes(theirs));
    assert.ok(state.includes(first));
    assert.deepEqual(state.receive(other.bytes), { kind: 'known' });
    const bad = row('rules', -1, 'a');
    assert.deepEqual(state.receive(bad), { kind: 'refused', fault: 'malformed' });
    assert.deepEqual(state.receive(bad), { kind: 'known' });
  });

  it('forgets the oldest digests above its limit', () => {
    const state = new ClusterState('a');
    const empty = announcedDigest(state.digest);
    for (let turn = 0; turn <= clusterLimits.digestsRemembered; turn++) {
      state.setPolicy(turn % 2 === 0 ? { algorithm: 'round-robin' } : {});
    }
    assert.equal(state.includes(empty), false);
  });
});
