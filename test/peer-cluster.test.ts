import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Logger } from 'pino';
import { parseConfig } from '../src/config/index.ts';
import type { Links } from '../src/io/link/index.ts';
import { ClusterSide, type LivingMember, type SharedState } from '../src/peer-cluster.ts';
import { Counters } from '../src/pipeline/counters.ts';

/** What a peer shares, as a test wants it. */
class Shared implements SharedState {
  state: Uint8Array = new Uint8Array(0);
  isWhole = true;
  living: readonly LivingMember[] = [];
  readonly receivedStates: string[] = [];
  /** Called whenever somebody asks whether the peer has caught up. */
  onAsked: () => void = () => undefined;

  bytes(): Uint8Array {
    return this.state;
  }

  isCaughtUp(): boolean {
    this.onAsked();
    return this.isWhole;
  }

  weight(): number | undefined {
    return 2.5;
  }

  received(bytes: Uint8Array): void {
    this.receivedStates.push(Buffer.from(bytes).toString());
  }

  membersChanged(living: readonly LivingMember[]): void {
    this.living = living;
  }
}

interface Given {
  readonly side: ClusterSide;
  readonly shared: Shared;
  readonly counters: Counters;
  readonly lines: string[];
}

/** Gossip on loopback; links that are up at once. */
async function start(t: TestContext, name: string, seeds: readonly string[]): Promise<Given> {
  const parsed = parseConfig(
    JSON.stringify({
      name,
      gossip: { listen: { address: '127.0.0.1', port: 0 }, seeds },
      sip: { listeners: [{ transport: 'udp' }] },
      stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
      application: { kind: 'embedded', module: 'demo' },
    }),
    'test.yaml',
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const links = { setPeers: () => undefined, isUp: () => true };
  const [counters, shared, lines] = [new Counters(), new Shared(), [] as string[]];
  const tell = (_fields: object, line: string): void => void lines.push(line);
  const side = new ClusterSide({
    config: parsed.config,
    log: { debug: tell, info: tell, warn: tell, error: tell } as unknown as Logger,
    counters,
    epoch: 1_700_000_000,
    links: () => links as unknown as Links,
    shared,
    places: () => ({
      link: '127.0.0.1:1',
      sipInternal: '127.0.0.1:2',
      sipTransport: 'UDP',
      applications: [],
      stateDigest: 'digest',
    }),
  });
  t.after(() => side.stop());
  shared.state = Buffer.from(`state of ${name}`);
  await side.start();
  return { side, shared, counters, lines };
}

/** Whether a promise has settled once all that was due has run. */
function settled(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setImmediate(resolve, false));
  return Promise.race([promise.then(() => true), later]);
}

describe('a peer that joins', () => {
  it('brings its state with it, gets that of the others, and waits until it has caught up', async (t) => {
    const one = await start(t, 'one', []);
    one.side.announce('ready');
    const two = await start(t, 'two', [`127.0.0.1:${one.side.port}`]);
    two.shared.isWhole = false;
    const asked = new Promise<void>((resolve) => {
      two.shared.onAsked = resolve;
    });
    const joined = two.side.joined();
    await asked;
    assert.equal(await settled(joined), false);
    assert.ok(two.shared.receivedStates.includes('state of one'));
    assert.ok(one.shared.receivedStates.includes('state of two'));
    assert.deepEqual(two.shared.living.map(({ name }) => name).sort(), ['one', 'two']);
    const [{ announced }] = two.shared.living.filter(({ name }) => name === 'one') as [
      LivingMember,
    ];
    assert.deepEqual([announced.weight, announced.stateDigest], [2.5, 'digest']);
    two.shared.isWhole = true;
    // A state that brings nothing new is enough.
    one.side.syncWith('two');
    await joined;
    assert.deepEqual(two.counters.entries().get('cluster_state'), undefined);
  });

  it('waits no longer than it does for the others, and tells', async (t) => {
    const one = await start(t, 'one', []);
    const two = await start(t, 'two', [`127.0.0.1:${one.side.port}`]);
    two.shared.isWhole = false;
    await two.side.joined();
    assert.equal(two.counters.get('cluster_state', 'not-caught-up'), 1);
    assert.ok(two.lines.some((line) => line.includes('newer state of the cluster')));
  });
});
