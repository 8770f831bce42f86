import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { lockFolder } from '../../../src/io/state/folder-lock.ts';

describe('the lock of a folder', () => {
  it('goes to one of two that find the lock of a crash at the same time', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sailring-lock-'));
    t.after(() => rm(folder, { recursive: true }));
    for (let round = 0; round < 100; round++) {
      const file = join(folder, 'lock');
      await writeFile(file, '{"peer":"gone"');
      const taken = await Promise.all([lockFolder(file, 'a'), lockFolder(file, 'b')]);
      assert.equal(taken.filter((holder) => holder === undefined).length, 1, `round ${round}`);
      assert.deepEqual(await readdir(folder), ['lock'], 'nothing is left beside it');
      await rm(file);
    }
  });
});
