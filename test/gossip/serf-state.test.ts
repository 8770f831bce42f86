import { decode, encode } from '@msgpack/msgpack';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits } from '../../src/config/defaults.ts';
import { unwrapUserState, wrapUserState, type SerfState } from '../../src/gossip/serf-state.ts';

const state: SerfState = {
  time: 70_000,
  eventTime: 1,
  queryTime: 300,
  statusTimes: new Map([
    ['p1', 5],
    ['__proto__', 2 ** 40],
  ]),
  leftMembers: ['p1'],
};

function typed(fields: unknown): Uint8Array {
  return Buffer.concat([Uint8Array.of(2), encode(fields)]);
}

describe('user state', () => {
  it('comes back as it was wrapped, with what another layer put into it', () => {
    const own = new Uint8Array(100_000).fill(7);
    const decoded = unwrapUserState(Uint8Array.from(wrapUserState(own, state)));
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value, { serf: state, own });
    const without = unwrapUserState(wrapUserState(new Uint8Array(0), state));
    assert.ok(without.ok);
    assert.equal(without.value.own, undefined);
  });

  it('is for serf the map of an agent', () => {
    const wrapped = wrapUserState(Uint8Array.of(1), {
      ...state,
      statusTimes: new Map([['p1', 5]]),
    });
    assert.equal(wrapped[0], 2);
    assert.deepEqual(decode(Uint8Array.from(wrapped.subarray(1))), {
      LTime: 70_000,
      StatusLTimes: { p1: 5 },
      LeftMembers: ['p1'],
      EventLTime: 1,
      Events: null,
      QueryLTime: 300,
      Sailring: Uint8Array.of(1),
    });
  });

  it('of an agent is read past its events', () => {
    const events = [null, { LTime: 3, Events: [{ Name: 'deploy', Payload: 'x'.repeat(500) }] }];
    const fields = {
      LTime: 4,
      Events: events,
      StatusLTimes: null,
      LeftMembers: null,
      QueryLTime: 9,
    };
    const decoded = unwrapUserState(typed(fields));
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value.serf, {
      time: 4,
      eventTime: 0,
      queryTime: 9,
      statusTimes: new Map(),
      leftMembers: [],
    });
  });

  it('of many members is read, up to as many as can be known', () => {
    const names = Array.from({ length: gossipLimits.membersMax + 10 }, (_, i) => `member-${i}`);
    const fields = {
      StatusLTimes: Object.fromEntries(names.map((name, i) => [name, i * 20])),
      LeftMembers: names,
    };
    const decoded = unwrapUserState(typed(fields));
    assert.ok(decoded.ok);
    assert.equal(decoded.value.serf.statusTimes.size, gossipLimits.membersMax);
    assert.equal(decoded.value.serf.leftMembers.length, gossipLimits.membersMax);
    assert.equal(decoded.value.serf.statusTimes.get('member-4095'), 81_900);
  });

  it('that is none is a fault', () => {
    const rows: readonly (readonly [string, Uint8Array])[] = [
      ['empty', new Uint8Array(0)],
      ['unsupported', Uint8Array.of(0x7b, 0x7d)],
      ['malformed', Uint8Array.of(2)],
      ['malformed', typed([])],
      ['malformed', Buffer.concat([typed({ LTime: 1 }), Uint8Array.of(0)])],
      ['malformed', typed({ LTime: 'x' })],
      ['malformed', typed({ LTime: gossipLimits.lamportTimeMax + 1 })],
      ['malformed', typed({ LTime: -1 })],
      ['malformed', typed({ StatusLTimes: { p1: null } })],
      ['malformed', typed({ StatusLTimes: { 'a\u0000': 1 } })],
      ['malformed', typed({ LeftMembers: ['x'.repeat(gossipLimits.nameBytesMax + 1)] })],
      ['malformed', typed({ LeftMembers: { a: 1 } })],
      ['malformed', typed({ Sailring: 5 })],
      ['malformed', Uint8Array.of(2, 0xdf, 0xff, 0xff, 0xff, 0xff)],
    ];
    for (const [fault, bytes] of rows) {
      assert.deepEqual(
        unwrapUserState(bytes),
        { ok: false, fault },
        Buffer.from(bytes).toString('hex'),
      );
    }
  });

  it('never makes the decoder throw', () => {
    const whole = wrapUserState(Uint8Array.of(1, 2, 3), state);
    fc.assert(
      fc.property(fc.nat(whole.length - 2), fc.nat(255), fc.boolean(), (at, byte, isCut) => {
        const bytes = Uint8Array.from(isCut ? whole.subarray(0, at + 1) : whole);
        bytes[at + (isCut ? 0 : 1)] = byte;
        assert.equal(typeof unwrapUserState(bytes).ok, 'boolean');
      }),
      { numRuns: 1_000 },
    );
  });

  it('above 6 MiB is refused where it is made', () => {
    const own = new Uint8Array(gossipLimits.userStateBytesMax);
    assert.throws(() => wrapUserState(own, state), RangeError);
  });
});
