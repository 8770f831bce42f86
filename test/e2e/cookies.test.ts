import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { metric, startCluster } from '../support/cluster.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);

async function cookieJar(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-cookies-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'jar');
}

describe('curl with a cookie jar through the sprayer', { timeout: 60_000 }, () => {
  it('meets one instance 50 times; without cookies several', async (t) => {
    if (!requireTool('curl', t)) return;
    const { http } = await startCluster(t);
    const jar = await cookieJar(t);
    const servedBy = async (args: readonly string[]): Promise<string> => {
      const { stdout } = await run('curl', [
        '-s',
        '-o',
        '/dev/null',
        '-w',
        '%header{x-served-by}',
        ...args,
      ]);
      return stdout;
    };
    const sticky = new Set<string>();
    const loose = new Set<string>();
    for (let request = 0; request < 50; request++) {
      sticky.add(
        await servedBy(['-b', jar, '-c', jar, `${http}/conference?ConferenceName=mine-${request}`]),
      );
      loose.add(await servedBy([`${http}/conference?ConferenceName=loose-${request}`]));
    }
    assert.equal(sticky.size, 1);
    assert.equal(loose.size, 3);
  });

  it('ignores and counts a forged stamp', async (t) => {
    if (!requireTool('curl', t)) return;
    const { http, peers } = await startCluster(t);
    const jar = await cookieJar(t);
    const page = `${http}/conference?ConferenceName=42`;
    await run('curl', ['-s', '-c', jar, page]);
    const text = await readFile(jar, 'utf8');
    const owner = /BEROUTE\s+(peer-\d)\./.exec(text)?.[1];
    assert.ok(owner !== undefined, text);
    const other = peers.find((peer) => peer.name !== owner)!.name;
    await writeFile(jar, text.replaceAll(owner, other).replace(/(BEKEY\s+)../, '$1zz'));
    const { stdout } = await run('curl', ['-s', '-b', jar, '-H', 'Accept: application/json', page]);
    assert.equal((JSON.parse(stdout) as { instance: string }).instance, owner);
    const counts = await Promise.all(
      peers.flatMap(({ admin }) =>
        ['bekey', 'beroute'].map((name) => metric(admin, 'sailring_stamps_invalid_total', name)),
      ),
    );
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      2,
    );
  });
});
