import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignmentKey, parseSipMessage, TransactionMemory } from '../../src/sip/index.ts';
import { request, type RequestOptions } from '../support/sip-text.ts';

const limits = {
  timeoutMs: 1_000,
  inviteTimeoutMs: 10_000,
  invitesRemembered: 3,
  othersRemembered: 2,
};

const toA = { instance: 'a', keyDigest: 'k' };
const toB = { instance: 'b', keyDigest: 'k' };

function keyOf(options: RequestOptions): string {
  const result = parseSipMessage(request(options));
  assert.ok(result.ok);
  return assignmentKey(result.message);
}

describe('assignmentKey', () => {
  it('is shared by an INVITE, its CANCEL and its ACK, whatever branch and To tag they bear', () => {
    const via = ['SIP/2.0/UDP elsewhere.example.org;branch=z9hG4bKother'];
    const keys = [
      keyOf({}),
      keyOf({ via }),
      keyOf({ method: 'CANCEL' }),
      keyOf({ method: 'ACK', toTag: 'final' }),
    ];
    assert.equal(new Set(keys).size, 1);
    assert.match(keys[0]!, /^i[0-9a-z]{8,14}$/);
  });

  it('differs for each Call-ID, From tag, CSeq number and for other methods', () => {
    const keys = [
      keyOf({}),
      keyOf({ callId: 'other' }),
      keyOf({ fromTag: 'other' }),
      keyOf({ cseq: 2 }),
      keyOf({ method: 'BYE' }),
    ];
    assert.equal(new Set(keys).size, keys.length);
    assert.match(keys[4]!, /^n/);
    assert.equal(keyOf({ method: 'INFO' }), keys[4]);
  });
});

describe('TransactionMemory', () => {
  for (const [name, key, timeoutMs] of [
    ['an INVITE', 'i1', limits.inviteTimeoutMs],
    ['another request', 'n1', limits.timeoutMs],
  ] as const) {
    it(`keeps ${name} at least its time-out and at most twice as long, however it was set`, () => {
      for (const offset of [0, 1, timeoutMs / 2, timeoutMs - 1]) {
        const at = 5_000 + offset;
        const alive = new TransactionMemory(limits);
        alive.set(key.replace('1', '0'), toB, 5_000);
        alive.set(key, toA, at);
        assert.deepEqual(alive.get(key, at + timeoutMs), toA);
        const gone = new TransactionMemory(limits);
        gone.set(key.replace('1', '0'), toB, 5_000);
        gone.set(key, toA, at);
        assert.equal(gone.get(key, at + 2 * timeoutMs), undefined);
      }
    });
  }

  it('keeps what is used, for ever', () => {
    const memory = new TransactionMemory(limits);
    memory.set('n1', toA, 0);
    for (let now = 0; now < 20_000; now += limits.timeoutMs) {
      assert.deepEqual(memory.get('n1', now), toA, String(now));
    }
  });

  it('forgets what was used once, not what is used again', () => {
    const memory = new TransactionMemory(limits);
    memory.set('n1', toA, 0);
    memory.set('n2', toB, 0);
    for (let now = 0; now <= 3_000; now += 500) memory.get('n1', now);
    assert.deepEqual(memory.get('n1', 3_000), toA);
    assert.equal(memory.get('n2', 3_000), undefined);
  });

  it('takes the latest assignment', () => {
    const memory = new TransactionMemory(limits);
    memory.set('i1', toA, 0);
    memory.set('i1', toB, limits.inviteTimeoutMs);
    assert.deepEqual(memory.get('i1', limits.inviteTimeoutMs + 1), toB);
  });

  it('is bounded: a full generation displaces the older one, and that is counted', () => {
    const displaced: [string, number][] = [];
    const memory = new TransactionMemory(limits, (kind, entries) =>
      displaced.push([kind, entries]),
    );
    for (let each = 0; each < 6; each++) memory.set(`i${each}`, toA, 0);
    assert.deepEqual(displaced, []);
    assert.equal(memory.size, 6);
    memory.set('i6', toA, 0);
    assert.deepEqual(displaced, [['invite', 3]]);
    assert.equal(memory.size, 4);
    assert.deepEqual(
      ['i2', 'i3', 'i6'].map((key) => memory.get(key, 0)?.instance),
      [undefined, 'a', 'a'],
    );
  });

  it('displaces nothing by an assignment that is known already', () => {
    const displaced: unknown[] = [];
    const memory = new TransactionMemory(limits, (kind) => displaced.push(kind));
    for (let round = 0; round < 5; round++) {
      for (const key of ['n1', 'n2']) memory.set(key, toA, 0);
    }
    assert.equal(memory.size, 2);
    assert.deepEqual(displaced, []);
  });

  it('keeps INVITEs and others apart: a flood of one class displaces none of the other', () => {
    const memory = new TransactionMemory(limits);
    memory.set('i1', toA, 0);
    for (let each = 0; each < 100; each++) memory.set(`n${each}`, toB, 0);
    assert.deepEqual(memory.get('i1', 0), toA);
    assert.ok(memory.size <= 1 + 2 * limits.othersRemembered);
  });

  it('holds nothing that is over, once the time has come', () => {
    const memory = new TransactionMemory(limits);
    memory.set('n1', toA, 0);
    memory.get('n9', 5_000);
    assert.equal(memory.size, 0);
  });
});
