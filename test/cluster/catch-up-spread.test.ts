import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CatchUp } from '../../src/cluster/index.ts';
import { seededRandom } from '../support/seeded-random.ts';

const stepMs = 50;
/** News of a tag reaches a member so long after it changed, at most. */
const newsMs = 600;

interface Peer {
  readonly catchUp: CatchUp;
  readonly known: Set<string>;
  readonly asksMs: number[];
  /** When each of the others hears that it has the change. */
  changedAtMs: number;
}

/** A change at the first of `count` peers, on virtual time, until all have it or 20 s have passed. */
function spread(count: number, seed: number): { peers: readonly Peer[]; endMs: number } {
  const random = seededRandom(seed);
  const peers = Array.from({ length: count }, (): Peer => {
    const known = new Set(['old']);
    const catchUp = new CatchUp({ includes: (digest) => known.has(digest) }, random);
    return { catchUp, known, asksMs: [], changedAtMs: Infinity };
  });
  const take = (peer: Peer, nowMs: number): void => {
    peer.known.add('new');
    peer.changedAtMs = Math.min(peer.changedAtMs, nowMs);
  };
  take(peers[0]!, 0);
  for (let nowMs = stepMs; nowMs <= 20_000; nowMs += stepMs) {
    if (peers.every(({ known }) => known.has('new'))) return { peers, endMs: nowMs };
    for (const peer of peers) {
      if (peer.known.has('new')) continue;
      const members = peers.map(({ changedAtMs }, at) => {
        const isHeard = changedAtMs + random() * newsMs <= nowMs;
        return { name: String(at), digest: isHeard ? 'new' : 'old' };
      });
      peer.catchUp.membersChanged(members, nowMs);
      const name = peer.catchUp.due(nowMs);
      if (name === undefined) continue;
      peers[Number(name)]!.asksMs.push(nowMs);
      take(peer, nowMs);
    }
  }
  return { peers, endMs: Infinity };
}

/** The most that came within one second. */
function mostInASecond(asksMs: readonly number[]): number {
  return Math.max(
    0,
    ...asksMs.map((at) => asksMs.filter((ms) => ms >= at && ms < at + 1_000).length),
  );
}

describe('a change in a large cluster', () => {
  for (const count of [10, 100, 400]) {
    it(`reaches all of ${count} soon, and no peer is asked by all at once`, () => {
      const { peers, endMs } = spread(count, count);
      assert.ok(endMs <= newsMs + count * 5 + 2 * stepMs, String(endMs));
      const most = Math.max(...peers.map(({ asksMs }) => mostInASecond(asksMs)));
      // Without the pause it is several times as many in the largest.
      assert.ok(most <= 20, String(most));
    });
  }
});
