import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lockFolder } from '../../../src/io/state/folder-lock.ts';

describe('the lock of a folder', () => {
  it('goes to one of those that find the lock of a crash at the same time', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sailring-lock-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'lock');
    for (const contenders of [2, 3, 6]) {
      const peers = Array.from({ length: contenders }, (_, at) => `peer-${at}`);
      for (let round = 0; round < 100; round++) {
        await writeFile(file, '{"peer":"gone"');
        const taken = await Promise.all(peers.map((peer) => lockFolder(file, peer)));
        const winners = peers.filter((_, at) => taken[at] === undefined);
        assert.equal(winners.length, 1, `round ${round} of ${contenders}`);
        const holder = JSON.parse(await readFile(file, 'utf8')) as { readonly peer: string };
        assert.equal(holder.peer, winners[0]);
        assert.deepEqual(await readdir(folder), ['lock'], 'nothing is left beside it');
        await rm(file);
      }
    }
  });

  it('is taken over where a crash hit one that took it over', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sailring-lock-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'lock');
    const gone = '{"peer":"gone"';
    await writeFile(file, gone);
    const turn = `lock.${createHash('sha256').update(gone).digest('hex').slice(0, 16)}`;
    await writeFile(join(folder, turn), '{"peer":"gone, too"');
    assert.equal(await lockFolder(file, 'a'), undefined);
    assert.match((await lockFolder(file, 'b')) ?? '', /^the process \d+ \(peer a\) uses it$/);
    assert.deepEqual(await readdir(folder), ['lock']);
  });
});
