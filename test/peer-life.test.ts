import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { dialogLimits, lifeLimits } from '../src/config/defaults.ts';
import { Life } from '../src/peer-life.ts';
import { Dialogs } from '../src/pipeline/dialogs.ts';

interface Given {
  readonly life: Life;
  readonly dialogs: Dialogs;
  readonly announced: string[];
  readonly turned: boolean[];
  readonly lines: string[];
  readonly work: { served: number; exchanges: number };
  readonly pass: (ms: number) => void;
}

function given(t: TestContext, drainTimeoutMs = 600_000, drainQuietMs = 32_000): Given {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 1_000_000;
  const work = { served: 0, exchanges: 0 };
  const [announced, turned, lines]: [string[], boolean[], string[]] = [[], [], []];
  const dialogs = new Dialogs(() => undefined);
  const tell = (_fields: object, line: string): void => void lines.push(line);
  const life = new Life({
    config: { drainTimeoutMs, drainQuietMs },
    log: { info: tell, warn: tell },
    dialogs,
    exchanges: () => work.exchanges,
    served: () => work.served,
    now: () => nowMs,
    announce: (status) => announced.push(status),
    turnAway: (isLeaving) => turned.push(isLeaving),
  });
  t.after(() => {
    life.end();
  });
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= lifeLimits.pollIntervalMs) {
      nowMs += lifeLimits.pollIntervalMs;
      t.mock.timers.tick(lifeLimits.pollIntervalMs);
    }
  };
  return { life, dialogs, announced, turned, lines, work, pass };
}

/** Whether a promise has settled once all that was due has run. */
async function settled(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setImmediate(resolve, false));
  return Promise.race([promise.then(() => true), later]);
}

const invite = Buffer.from('INVITE sip:b@c SIP/2.0\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n');
const bye = Buffer.from('BYE sip:b@c SIP/2.0\r\nCall-ID: one\r\nCSeq: 2 BYE\r\n\r\n');

describe('the life of an instance', () => {
  it('goes from joining to ready, draining, ready, and ends', (t) => {
    const { life, announced, turned } = given(t);
    assert.equal(life.status, 'joining');
    life.joined();
    life.drain();
    life.drain();
    life.undrain();
    life.undrain();
    life.end();
    assert.deepEqual(announced, ['ready', 'draining', 'ready', 'disabled']);
    assert.deepEqual(turned, [true, false]);
    assert.equal(life.isEnding, true);
  });

  it('stays draining when it was drained before it had joined', (t) => {
    const { life, announced } = given(t);
    life.drain();
    life.joined();
    assert.deepEqual(announced, ['draining']);
  });

  it('obeys the cluster: disabled after its sessions had their time, enabled again', (t) => {
    const { life, announced, pass, turned } = given(t);
    life.joined();
    life.order({ status: 'disabled', quiesceMs: 2_000 });
    assert.deepEqual(announced, ['ready', 'draining']);
    pass(1_500);
    life.order({ status: 'disabled', quiesceMs: 2_000 });
    pass(500);
    assert.deepEqual(announced, ['ready', 'draining', 'disabled']);
    assert.equal(life.isEnding, false, 'the peer relays on');
    life.order({ status: 'enabled' });
    life.order({ status: 'draining' });
    assert.deepEqual(announced, ['ready', 'draining', 'disabled', 'ready', 'draining']);
    assert.deepEqual(turned, [], 'clients may stay: the peer is not leaving');
  });

  it('stays disabled over a restart: its sessions are with others already', (t) => {
    const { life, announced } = given(t);
    life.order({ status: 'disabled', quiesceMs: 3_600_000 });
    life.joined();
    assert.deepEqual(announced, ['disabled']);
    life.order({ status: 'enabled' });
    assert.deepEqual(announced, ['disabled', 'ready']);
  });

  it('takes another time for its sessions while they have any', (t) => {
    const { life, announced, pass } = given(t);
    life.joined();
    life.order({ status: 'disabled', quiesceMs: 3_600_000 });
    pass(1_000);
    life.order({ status: 'disabled', quiesceMs: 2_000 });
    pass(1_750);
    assert.equal(announced.at(-1), 'draining');
    pass(250);
    assert.equal(announced.at(-1), 'disabled');
    life.order({ status: 'disabled', quiesceMs: 60_000 });
    assert.equal(announced.at(-1), 'disabled', 'they do not come back');
  });

  it('is known to have joined or not whatever operators say', (t) => {
    const { life } = given(t);
    life.order({ status: 'draining' });
    assert.equal(life.hasJoined, false);
    life.joined();
    assert.equal(life.hasJoined, true);
  });

  it('gives sessions 64 times T1 where no time is given', (t) => {
    const { life, announced, pass } = given(t);
    life.joined();
    life.order({ status: 'disabled' });
    pass(lifeLimits.quiesceMs - lifeLimits.pollIntervalMs);
    assert.equal(announced.at(-1), 'draining');
    pass(lifeLimits.pollIntervalMs);
    assert.equal(announced.at(-1), 'disabled');
  });
});

describe('a drain', () => {
  it('gives sprayers time to notice, hands HTTP sessions over and lets the others hear of it', async (t) => {
    const { life, pass, announced } = given(t);
    life.joined();
    pass(60_000);
    const drained = life.drained();
    pass(31_750);
    assert.deepEqual(announced, ['ready', 'draining']);
    pass(250);
    assert.deepEqual(announced, ['ready', 'draining', 'disabled']);
    assert.equal(life.isEnding, false, 'it relays on');
    pass(lifeLimits.newsMs - lifeLimits.pollIntervalMs);
    assert.equal(await settled(drained), false);
    pass(lifeLimits.pollIntervalMs);
    assert.equal(await settled(drained), true);
    assert.equal(life.leftMs, 600_000 - 33_000);
  });

  it('lasts until the others have heard of it, however short it is meant to be', async (t) => {
    const { life, pass } = given(t, 600_000, 0);
    life.joined();
    const drained = life.drained();
    pass(2 * lifeLimits.newsMs - lifeLimits.pollIntervalMs);
    assert.equal(await settled(drained), false);
    pass(lifeLimits.pollIntervalMs);
    assert.equal(await settled(drained), true);
  });

  it('waits for the last call and then for its transactions', async (t) => {
    const { life, dialogs, pass, lines, announced } = given(t);
    life.joined();
    dialogs.request(invite, 1_000_000);
    const drained = life.drained();
    pass(100_000);
    assert.equal(await settled(drained), false);
    assert.deepEqual(life.progress(), { calls: 1, exchanges: 0, quietMs: 0, leftMs: 500_000 });
    assert.ok(lines.includes('draining'));
    dialogs.request(bye, 1_100_000);
    pass(31_750);
    assert.equal(announced.at(-1), 'draining');
    pass(250 + lifeLimits.newsMs);
    assert.equal(await settled(drained), true);
  });

  it('does not wait for a call that has rung for longer than any may', async (t) => {
    const { life, dialogs, pass } = given(t);
    life.joined();
    dialogs.request(invite, 1_000_000);
    const drained = life.drained();
    pass(dialogLimits.earlyMs);
    assert.equal(await settled(drained), false);
    pass(lifeLimits.sweepIntervalMs + 32_000 + lifeLimits.newsMs);
    assert.equal(await settled(drained), true);
  });

  it('waits after each SIP request, and for exchanges once no more come', async (t) => {
    const { life, work, pass, announced } = given(t);
    life.joined();
    work.exchanges = 1;
    const drained = life.drained();
    pass(20_000);
    work.served++;
    pass(32_000);
    assert.equal(announced.at(-1), 'draining');
    pass(60_000);
    assert.equal(announced.at(-1), 'disabled');
    assert.equal(await settled(drained), false);
    work.exchanges = 0;
    pass(250);
    assert.equal(await settled(drained), true);
  });

  it('that does not get quiet ends with its time, and says so', async (t) => {
    const { life, dialogs, pass, lines } = given(t, 5_000);
    life.joined();
    dialogs.request(invite, 1_000_000);
    const drained = life.drained();
    pass(4_750);
    assert.equal(await settled(drained), false);
    pass(250);
    assert.equal(await settled(drained), true);
    assert.ok(lines.includes('the time of the drain is over'));
  });

  it('without time ends at once', async (t) => {
    const { life, lines } = given(t, 0);
    assert.equal(await settled(life.drained()), true);
    assert.deepEqual(lines, [], 'nothing was cut');
  });

  it('is not taken back, but may be cut short', async (t) => {
    const { life } = given(t);
    const drained = life.drained();
    assert.equal(await settled(drained), false);
    life.undrain();
    assert.equal(life.status, 'draining', 'a peer that was told to stop takes nothing new');
    life.end();
    assert.equal(await settled(drained), true);
    assert.equal(life.leftMs > 0, true);
  });
});
