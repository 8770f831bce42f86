/**
 * Loaded into the process of every test file (`--import`): a socket, timer or child process that is still
 * open a while after the last test ends the process with an error that names it. Without it one failed
 * assertion before a `close()` would hold the whole run for ever.
 */
import { after } from 'node:test';

/** Long enough for keep-alive connections and for children that still end. */
const graceMs = Number(process.env['SAILRING_TEST_GRACE_MS'] ?? 30_000);

// The runner itself loads this file, too; it has no tests of its own.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  after(() => {
    setTimeout(() => {
      const open = process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap');
      console.error(`still open ${graceMs} ms after the last test: ${open.join(', ')}`);
      process.exit(1);
    }, graceMs).unref();
  });
}
