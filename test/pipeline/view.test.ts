import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { transactionLimits } from '../../src/config/defaults.ts';
import type { Member } from '../../src/gossip/index.ts';
import {
  announcementTags,
  readAnnouncement,
  unsettled,
  viewOf,
  type Announcement,
  type ClusterView,
} from '../../src/pipeline/view.ts';

const { timeoutMs, pastRingsMax } = transactionLimits;

function announcement(overrides: Partial<Announcement> = {}): Announcement {
  return {
    epoch: 1,
    status: 'ready',
    weight: 1,
    link: '10.0.0.1:7947',
    sipInternal: '10.0.0.1:5090',
    sipTransport: 'UDP',
    applications: [],
    ...overrides,
  };
}

function member(
  name: string,
  overrides: Partial<Announcement> = {},
  state: Member['state'] = 'alive',
): Member {
  const tags = announcementTags(announcement(overrides));
  return { name, state, tags, address: '10.0.0.1', port: 7946, incarnation: 1 };
}

function ready(count: number): Member[] {
  return Array.from({ length: count }, (_, number) => member(`p${number}`));
}

function ringOf(view: ClusterView): readonly string[] {
  return view.ring.members.map(({ name }) => name);
}

describe('viewOf', () => {
  it('lists the living and puts the ready ones on the ring', () => {
    const view = viewOf(
      'a',
      [
        member('a'),
        member('b', { status: 'draining' }),
        member('c', { status: 'joining' }),
        member('d', { status: 'disabled' }),
        member('e', {}, 'suspect'),
        member('f', {}, 'dead'),
        member('g', {}, 'left'),
        { ...member('h'), tags: { role: 'observer' } },
      ],
      0,
    );
    assert.deepEqual(ringOf(view), ['a', 'e']);
    assert.deepEqual([...view.instances.keys()], ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual([view.pastRings, view.unsettledUntilMs], [[], 0]);
  });

  it('finds instances by their application, but not by an address that several claim', () => {
    const shared = '127.0.0.1:5080';
    const view = viewOf(
      'a',
      [
        member('a', { applications: [shared, '10.0.0.1:5080'] }),
        member('b', { applications: ['10.0.0.2:5080', shared] }),
        member('c', { applications: ['10.0.0.3:5080'], status: 'draining' }),
      ],
      0,
    );
    assert.deepEqual(Object.fromEntries(view.applications), {
      '10.0.0.1:5080': 'a',
      '10.0.0.2:5080': 'b',
      '10.0.0.3:5080': 'c',
    });
    assert.deepEqual(view.instances.get('b')?.applications, ['10.0.0.2:5080', shared]);
  });

  it('finds instances by their jvmRoute, but not by one that several claim', () => {
    const view = viewOf(
      'a',
      [
        member('a', { jvmRoute: 'r1' }),
        member('b', { jvmRoute: 'r2', status: 'draining' }),
        member('c', { jvmRoute: 'shared' }),
        member('d', { jvmRoute: 'shared', status: 'draining' }),
        member('e', { jvmRoute: 'r3', status: 'disabled' }),
        member('f', { jvmRoute: 'r4' }, 'dead'),
        member('g', { jvmRoute: 'r5' }, 'suspect'),
        member('h'),
      ],
      0,
    );
    assert.deepEqual(Object.fromEntries(view.jvmRoutes), { r1: 'a', r2: 'b', r5: 'g' });
  });

  it('gives a jvmRoute to the one that serves when another that claims it is disabled', () => {
    const members = [
      member('a', { jvmRoute: 'r1', status: 'disabled' }),
      member('b', { jvmRoute: 'r1' }),
    ];
    assert.equal(viewOf('a', members, 0).jvmRoutes.get('r1'), 'b');
  });

  it('knows the applications of those that left or died', () => {
    const applications = ['10.0.0.2:5080'];
    for (const state of ['dead', 'left'] as const) {
      const view = viewOf('a', [member('a'), member('b', { applications }, state)], 0);
      assert.equal(view.departed.get('10.0.0.2:5080'), 'b');
      assert.equal(view.applications.size, 0);
      assert.equal(view.instances.has('b'), false);
    }
  });

  it('keeps ring and peace while nothing on the ring changes', () => {
    const first = viewOf('a', [member('a'), member('b')], 1_000);
    const second = viewOf(
      'a',
      [member('a'), member('b'), member('c', { status: 'joining' })],
      2_000,
      first,
    );
    assert.equal(second.ring, first.ring);
    assert.deepEqual([second.pastRings, second.unsettledUntilMs], [[], 0]);
    assert.equal(second.instances.size, 3);
  });

  it('remembers the ring before a change for one transaction time-out', () => {
    const first = viewOf('a', [member('a'), member('b')], 1_000);
    const second = viewOf('a', [member('a')], 2_000, first);
    const untilMs = 2_000 + timeoutMs;
    assert.deepEqual(second.pastRings, [{ ring: first.ring, untilMs, heldMs: 1_000 }]);
    assert.equal(second.unsettledUntilMs, 2_000 + timeoutMs);
    const later = viewOf('a', [member('a'), member('c')], 2_000 + timeoutMs, second);
    assert.deepEqual(
      later.pastRings.map(({ ring }) => ring.version),
      [second.ring.version],
    );
  });

  it('counts a changed weight, a drain and a death alike as a change', () => {
    const first = viewOf('a', [member('a'), member('b')], 0);
    for (const changed of [
      member('b', { weight: 2 }),
      member('b', { status: 'draining' }),
      member('b', {}, 'dead'),
    ]) {
      const view = viewOf('a', [member('a'), changed], 10, first);
      assert.equal(view.pastRings[0]?.ring, first.ring);
    }
  });

  it('keeps a bounded number of past rings, the latest first, and not the one in force', () => {
    let view = viewOf('a', ready(1), 0);
    for (let count = 2; count <= pastRingsMax + 3; count++)
      view = viewOf('a', ready(count), 10 * count, view);
    const sizes = view.pastRings.map(({ ring }) => ring.members.length);
    assert.equal(sizes.length, pastRingsMax);
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => b - a),
    );
    const back = viewOf('a', ready(pastRingsMax + 2), 100, view);
    assert.ok(back.pastRings.every(({ ring }) => ring.version !== back.ring.version));
  });

  it('remembers rather the ring that was long in force than many that were not', () => {
    let view = viewOf('a', ready(1), 0);
    for (let count = 2; count <= pastRingsMax + 5; count++)
      view = viewOf('a', ready(count), 9_000 + 100 * count, view);
    const oldest = view.pastRings.at(-1);
    assert.deepEqual([oldest?.ring.members.length, oldest?.heldMs], [1, 9_200]);
    assert.equal(view.pastRings[0]?.ring.members.length, pastRingsMax + 4);
  });

  it('counts a share as part of the weight on the ring', () => {
    const view = viewOf('a', [member('a'), member('b', { weight: 2, share: 0.25 })], 0);
    assert.deepEqual(view.ring.members, [
      { name: 'a', weight: 1 },
      { name: 'b', weight: 0.5 },
    ]);
  });

  it('doubts an instance while it is suspect and for a transaction time-out after', () => {
    const calm = [member('a'), member('b')];
    const first = viewOf('a', calm, 0);
    assert.deepEqual([...first.doubts], []);
    const accused = viewOf('a', [member('a'), member('b', {}, 'suspect')], 1_000, first);
    assert.deepEqual([...accused.doubts], [['b', Infinity]]);
    assert.equal(accused.ring, first.ring);
    assert.equal(accused.unsettledUntilMs, 0);
    const refuted = viewOf('a', calm, 2_000, accused);
    const later = viewOf('a', calm, 3_000, refuted);
    for (const view of [refuted, later]) {
      assert.deepEqual([...view.doubts], [['b', 2_000 + timeoutMs]]);
    }
    assert.deepEqual([...viewOf('a', calm, 2_000 + timeoutMs, later).doubts], []);
    const again = viewOf('a', [member('a'), member('b', {}, 'suspect')], 3_000, refuted);
    assert.deepEqual([...again.doubts], [['b', Infinity]]);
    assert.deepEqual(
      [...viewOf('a', [member('a'), member('b', {}, 'dead')], 3_000, again).doubts],
      [],
    );
  });
});

describe('unsettled', () => {
  it('says that peers may decide differently for a time-out, with the same ring', () => {
    const view = viewOf('a', [member('a')], 0);
    const after = unsettled(view, 500);
    assert.equal(after.unsettledUntilMs, 500 + timeoutMs);
    assert.equal(after.ring, view.ring);
    assert.equal(viewOf('a', [member('a')], 600, after).unsettledUntilMs, 500 + timeoutMs);
  });
});

describe('Announcements', () => {
  it('come back from their tags as they were', () => {
    const full = announcement({
      sipTransport: 'TCP',
      applications: ['10.0.0.1:5080', '[::1]:5080'],
      jvmRoute: 'route-1',
    });
    for (const each of [announcement(), full]) {
      assert.deepEqual(readAnnouncement(announcementTags(each)), each);
    }
  });

  it('count whole where their share is none', () => {
    assert.deepEqual(readAnnouncement(announcementTags(announcement({ share: 0.3 }))), {
      ...announcement(),
      share: 0.3,
    });
    for (const share of ['', '0', '1', '1.5', '-1', 'NaN', 'half']) {
      const tags = { ...announcementTags(announcement()), share };
      assert.deepEqual(readAnnouncement(tags), announcement(), JSON.stringify(share));
    }
  });

  it('lose a jvmRoute that no session id could name', () => {
    for (const jvm of ['', 'a.b', 'a;b', 'a\r\nb', 'é', 'x'.repeat(65)]) {
      const tags = { ...announcementTags(announcement()), jvm };
      assert.deepEqual(readAnnouncement(tags), announcement(), JSON.stringify(jvm));
    }
  });
});
