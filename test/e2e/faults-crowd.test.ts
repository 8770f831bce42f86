import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerCrowd, type Delays } from '../support/peer-crowd.ts';

/**
 * Far above what is wanted, as tests may run on a machine with other work: `npm run bench -- membership`
 * measures it.
 */
const crashMs = 15_000;
const leaveMs = 5_000;

function words(what: string, delays: readonly Delays[]): string {
  const known = delays.map((some) => some.at(-1) ?? NaN);
  return `${what} known to all after ${known.join(', ')} ms`;
}

describe('ten peers', { timeout: 120_000 }, () => {
  it('all hear of crashes and leaves, and of nothing else', async (t) => {
    const crowd = await PeerCrowd.start(t, 10);
    const sinceMs = Date.now();
    const [first, second, third, fourth] = crowd.peers;
    const left = [await crowd.leave(third!), await crowd.leave(fourth!)];
    t.diagnostic(words('leaves', left));
    await Promise.all([third!.start(), fourth!.start()]);
    await crowd.whole();
    const crashed = await crowd.crash(first!, second!);
    t.diagnostic(words('crashes', crashed));
    for (const delays of crashed) assert.ok(delays.at(-1)! < crashMs);
    for (const delays of left) assert.ok(delays.at(-1)! < leaveMs);
    const dead = new Set(crowd.deaths(sinceMs).map((word) => word.split(' ')[0]));
    assert.deepEqual([...dead].sort(), [first!.name, second!.name]);
  });
});
