import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const leftovers = fileURLToPath(new URL('leftovers.ts', import.meta.url));

/** Runs one test file as `npm test` does, and gives its exit status and all that it said. */
function run(t: TestContext, source: string): { status: number | null; said: string } {
  const folder = mkdtempSync(join(tmpdir(), 'sailring-leftovers-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'some.test.mjs');
  writeFileSync(file, source);
  // What says that it runs inside a test would make it report to that test's runner.
  const environment = {
    ...process.env,
    SAILRING_TEST_GRACE_MS: '200',
    NODE_TEST_CONTEXT: undefined,
  };
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=spec', '--import', leftovers, file],
    {
      encoding: 'utf8',
      env: environment,
      timeout: 60_000,
    },
  );
  return { status, said: stdout };
}

const listening = "import { createServer } from 'node:net'; createServer().listen(0, '127.0.0.1');";
const test = (body: string): string =>
  `import { it } from 'node:test'; it('some', () => {${body}});`;

describe('a test file that leaves something open', { timeout: 120_000 }, () => {
  it('ends nevertheless, fails, and says what it is', (t) => {
    const { status, said } = run(t, `${listening}\n${test('')}`);
    assert.equal(status, 1, said);
    assert.match(said, /still open 200 ms after the last test: TCPServerWrap/);
  });

  it('ends where a failed test left it open, and shows that test', (t) => {
    const { status, said } = run(t, `${listening}\n${test("throw new Error('the reason')")}`);
    assert.equal(status, 1, said);
    assert.match(said, /the reason/);
  });

  it('passes where all is closed', (t) => {
    const { status, said } = run(t, test(''));
    assert.equal(status, 0, said);
    assert.doesNotMatch(said, /still open/);
  });
});
