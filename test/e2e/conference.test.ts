import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { runSipp, scenario, shares } from '../support/sipp.ts';
import { requireTool } from '../support/tools.ts';

interface Conference {
  readonly conference: string;
  readonly instance: string;
  readonly participants: readonly { readonly callId: string }[];
  readonly visitors: number;
}

async function visit(http: string, name: string): Promise<Conference> {
  const response = await fetch(`${http}/conference?ConferenceName=${name}`, {
    headers: { accept: 'application/json', connection: 'close' },
  });
  assert.equal(response.status, 200);
  return (await response.json()) as Conference;
}

describe('Conferences', { timeout: 120_000 }, () => {
  it('20 conferences of 3 callers and 3 visitors each meet on one instance', async (t) => {
    if (!requireTool('sipp', t)) return;
    const cluster = await startCluster(t);
    const names = Array.from({ length: 20 }, (_, index) => `room-${index + 1}`);
    const folder = await mkdtemp(join(tmpdir(), 'sailring-conference-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const rows = join(folder, 'rooms.csv');
    await writeFile(rows, ['SEQUENTIAL', ...names, ''].join('\n'));

    const calls = runSipp(t, cluster.sip.udp, [
      ...['-sf', scenario('conference-caller'), '-inf', rows, '-r', '60', '-m', '60'],
    ]);
    // Three visitors a conference; the later ones see the callers, who stay for some seconds.
    const seen = new Map<string, Conference[]>(names.map((name) => [name, []]));
    const isFull = (): boolean =>
      [...seen.values()].every((views) => views.some((view) => view.participants.length === 3));
    const load = { isRunning: true };
    void calls.finally(() => (load.isRunning = false));
    while (load.isRunning && !isFull()) {
      for (const name of names) seen.get(name)!.push(await visit(cluster.http, name));
    }
    const result = await calls;
    assert.deepEqual([result.successful, result.failed], [60, 0]);
    const servedBy = new Map(result.calls.map((call) => [call.callId, [...call.servedBy]]));
    const instances = new Set<string>();
    for (const [name, views] of seen) {
      while (views.length < 3) views.push(await visit(cluster.http, name));
      const [instance, ...others] = new Set(views.map((view) => view.instance));
      assert.deepEqual(others, [], `${name}: visitors met ${instance!} and others`);
      instances.add(instance!);
      const full = views.find((view) => view.participants.length === 3);
      assert.ok(full !== undefined, `${name}: no visitor saw all three callers`);
      for (const { callId } of full.participants) {
        assert.deepEqual(
          servedBy.get(callId),
          [instance],
          `${name}: a caller was served elsewhere`,
        );
      }
    }
    assert.equal(instances.size, 3);
    assert.equal(shares(result.calls).size, 3);
  });
});
