import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeState, encodeState } from '../../src/cluster/codec.ts';
import type { Stored } from '../../src/cluster/entry.ts';
import { canonicalJson } from '../../src/cluster/json.ts';
import { StateMap } from '../../src/cluster/state-map.ts';
import { clusterLimits, gossipLimits } from '../../src/config/defaults.ts';
import { wrapUserState } from '../../src/gossip/serf-state.ts';

const keys = fc.constantFrom('rules', 'policy', 'instance/a', 'instance/b', 'later/x');
const value = fc.option(fc.jsonValue({ maxDepth: 2 }), { nil: undefined });
const stored: fc.Arbitrary<Stored> = fc
  .record({ clock: fc.integer({ min: 1, max: 4 }), author: fc.constantFrom('a', 'b'), value })
  .map(({ clock, author, value: held }) => ({
    version: { clock, author },
    text: held === undefined ? undefined : canonicalJson(held),
  }));
const state: fc.Arbitrary<Buffer> = fc
  .array(fc.tuple(keys, stored), { maxLength: 5 })
  .map((rows) => encodeState(new Map(rows)));

function merged(...states: readonly Uint8Array[]): StateMap {
  const map = new StateMap();
  for (const bytes of states) assert.ok(map.merge(bytes).ok);
  return map;
}

/** A state of one row, written as another peer might. */
function row(...cells: readonly unknown[]): Buffer {
  return Buffer.from(JSON.stringify({ format: 1, entries: [cells] }));
}

describe('the state map', () => {
  it('merges commutatively, associatively and idempotently', () => {
    fc.assert(
      fc.property(state, state, state, (a, b, c) => {
        const all = merged(a, b, c);
        assert.equal(merged(c, b, a).digest, all.digest);
        assert.equal(merged(a, merged(b, c).bytes).digest, all.digest);
        assert.equal(merged(merged(a, b).bytes, c).digest, all.digest);
        assert.equal(merged(a, b, c, b, all.bytes, a).digest, all.digest);
      }),
    );
  });

  it('reads what it wrote, with equal bytes for equal entries', () => {
    fc.assert(
      fc.property(state, (bytes) => {
        const decoded = decodeState(bytes);
        assert.ok(decoded.ok);
        assert.deepEqual(encodeState(decoded.entries), bytes);
      }),
    );
  });

  it('decides above all that it knows, so that the last decision wins everywhere', () => {
    const a = new StateMap();
    const b = new StateMap();
    assert.equal(a.set('policy', { algorithm: 'round-robin' }, 'a'), undefined);
    assert.ok(b.merge(a.bytes).ok);
    assert.equal(b.set('policy', undefined, 'b'), undefined);
    const outcome = a.merge(b.bytes);
    assert.ok(outcome.ok);
    assert.deepEqual([...outcome.changed], ['policy']);
    assert.equal(a.get('policy'), undefined);
    assert.deepEqual(a.entries(), [
      { key: 'policy', version: { clock: 2, author: 'b' }, value: undefined },
    ]);
    assert.equal(a.digest, b.digest);
    // The older value of a peer that was away does not come back.
    assert.ok(a.merge(row('policy', 1, 'a', { algorithm: 'round-robin' })).ok);
    assert.equal(a.get('policy'), undefined);
  });

  it('keeps its version where a decision changes nothing', () => {
    const map = new StateMap();
    map.set('policy', { b: 1, a: [true] }, 'a');
    const { digest } = map;
    assert.equal(map.set('policy', { a: [true], b: 1 }, 'z'), undefined);
    assert.equal(map.set('rules', undefined, 'z'), undefined);
    assert.equal(map.digest, digest);
    assert.equal(map.clock, 1);
  });

  it('keeps entries of a kind that only later versions know', () => {
    const map = merged(row('thing/x', 7, 'p', { any: null }));
    assert.deepEqual(map.get('thing/x'), { any: null });
    assert.equal(map.clock, 7);
  });

  const refused: readonly (readonly [why: string, bytes: Uint8Array, fault: string])[] = [
    ['no JSON', Buffer.from('{"format":1,"entries":['), 'malformed'],
    ['no object', Buffer.from('[]'), 'malformed'],
    ['no entries', Buffer.from('{"format":1}'), 'malformed'],
    ['another format', Buffer.from('{"format":2,"entries":[]}'), 'other-format'],
    ['a row that is none', Buffer.from('{"format":1,"entries":[{}]}'), 'malformed'],
    ['too few cells', row('rules', 1), 'malformed'],
    ['too many cells', row('rules', 1, 'a', 1, 1), 'malformed'],
    ['a key of no form', row('Rules', 1, 'a'), 'malformed'],
    ['a key that climbs', row('instance/../x', 1, 'a'), 'malformed'],
    ['a clock of 0', row('rules', 0, 'a'), 'malformed'],
    ['half a clock', row('rules', 1.5, 'a'), 'malformed'],
    ['a clock beyond all', row('rules', clusterLimits.clockMax + 1, 'a'), 'malformed'],
    ['an author without name', row('rules', 1, ''), 'malformed'],
    ['a key twice', Buffer.from('{"format":1,"entries":[["a",1,"p"],["a",2,"p"]]}'), 'malformed'],
    [
      'more bytes than a sync carries',
      Buffer.alloc(clusterLimits.mergedStateBytesMax + 1),
      'too-large',
    ],
  ];
  for (const [why, bytes, fault] of refused) {
    it(`refuses ${why}, and changes nothing`, () => {
      const map = merged(row('rules', 1, 'a', 'kept'));
      const { digest } = map;
      assert.deepEqual(map.merge(bytes), { ok: false, fault });
      assert.equal(map.digest, digest);
    });
  }

  it('survives nesting that cannot be written again', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const bytes = Buffer.from(`{"format":1,"entries":[["a",1,"p",${deep}]]}`);
    assert.deepEqual(new StateMap().merge(bytes), { ok: false, fault: 'malformed' });
  });

  it('never throws for random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.equal(new StateMap().merge(bytes).ok, false);
      }),
    );
  });

  it('throws for a key of no form: the caller checks names', () => {
    assert.throws(() => new StateMap().set('instance/a b', 1, 'a'), /no key/);
  });
});

describe('the limits of the state map', () => {
  it('leave room in a full sync for what serf agents tell of the most members', () => {
    const { membersMax, nameBytesMax, userStateBytesMax } = gossipLimits;
    const names = Array.from({ length: membersMax }, (_, at) =>
      `${at}`.padStart(nameBytesMax, 'n'),
    );
    const time = Number.MAX_SAFE_INTEGER;
    const statusTimes = new Map(names.map((name) => [name, time]));
    const serf = { time, eventTime: time, queryTime: time, statusTimes, leftMembers: names };
    const whole = wrapUserState(new Uint8Array(clusterLimits.mergedStateBytesMax), serf);
    assert.ok(whole.length <= userStateBytesMax);
  });

  function filled(prefix: string, count: number): Buffer {
    const entry: Stored = { version: { clock: 1, author: 'a' }, text: undefined };
    const rows = Array.from({ length: count }, (_, at) => [`${prefix}/n${at}`, entry] as const);
    return encodeState(new Map(rows));
  }

  it('takes no further key from operators when it is full, but changes to those it has', () => {
    const map = merged(filled('instance', clusterLimits.entriesMax));
    assert.equal(map.set('policy', {}, 'a'), 'entries-full');
    assert.equal(map.set('instance/n0', { status: 'enabled' }, 'a'), undefined);
  });

  it('merges what two sides made together, up to twice as many', () => {
    const map = merged(filled('instance', clusterLimits.entriesMax));
    assert.ok(map.merge(filled('other', clusterLimits.entriesMax)).ok);
    assert.deepEqual(map.merge(filled('third', 1)), { ok: false, fault: 'too-many-entries' });
    const many = filled('many', clusterLimits.mergedEntriesMax + 1);
    assert.deepEqual(new StateMap().merge(many), { ok: false, fault: 'too-many-entries' });
  });

  it('takes no change above its bytes, and one that makes it smaller always', () => {
    const map = new StateMap();
    const tooLarge = 'x'.repeat(clusterLimits.stateBytesMax);
    assert.equal(map.set('rules', tooLarge, 'a'), 'bytes-full');
    assert.equal(map.set('rules', 'x'.repeat(clusterLimits.stateBytesMax - 200), 'a'), undefined);
    assert.ok(map.merge(row('other/a', 1, 'b', 'y'.repeat(1_000))).ok);
    assert.equal(map.set('policy', {}, 'a'), 'bytes-full');
    assert.equal(map.set('other/a', undefined, 'a'), undefined);
    const large = row('other/b', 1, 'b', 'z'.repeat(clusterLimits.mergedStateBytesMax - 100));
    assert.deepEqual(map.merge(large), { ok: false, fault: 'too-large' });
  });

  it('decides no more when its clock has come to its end', () => {
    const map = merged(row('rules', clusterLimits.clockMax, 'a', 'last'));
    assert.equal(map.set('policy', {}, 'a'), 'clock-full');
  });
});
