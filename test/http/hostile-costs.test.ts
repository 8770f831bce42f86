import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { httpLimits } from '../../src/config/defaults.ts';

/** Reads heads in a process of its own, where a reader that gets stuck can be ended. */
const reader = `
const { parseRequestHead } = await import(process.argv[1]);
const [headers, times] = [process.argv[2], Number(process.argv[3])];
const blanks = ' '.repeat(Number(process.argv[4]));
const raw = 'GET / HTTP/1.1\\r\\nHost: a\\r\\n' + headers.replaceAll('<blanks>', blanks) + '\\r\\n';
const bytes = Buffer.from(raw, 'latin1');
let progress;
for (let time = 0; time < times; time++) progress = parseRequestHead(bytes);
process.stdout.write(progress.code ?? progress.kind);
`;
const room = new URL('../../src/http/index.ts', import.meta.url).href;

describe('a head full of blanks', () => {
  const rows: readonly (readonly [headers: string, verdict: string])[] = [
    ['Transfer-Encoding: a<blanks>a\r\n', 'HTTP_CODING_INVALID'],
    ['Transfer-Encoding: a<blanks>,<blanks>chunked\r\n', 'HTTP_CODING_UNSUPPORTED'],
    ['TE: ,<blanks>a\r\n', 'head'],
    ['Connection: a<blanks>a\r\n', 'head'],
    ['Expect: a<blanks>a\r\n', 'HTTP_EXPECTATION_UNSUPPORTED'],
    ['Upgrade: a<blanks>a\r\nConnection: upgrade\r\n', 'head'],
  ];
  for (const [headers, verdict] of rows) {
    it(`is read at once: ${JSON.stringify(headers)}`, () => {
      const blanks = String(Math.floor(httpLimits.headBytesMax / 2) - 100);
      // Looked at anew behind each blank, so many would take minutes.
      const read = spawnSync(
        process.execPath,
        ['--input-type=module', '-e', reader, room, headers, '300', blanks],
        { encoding: 'utf8', timeout: 60_000 },
      );
      assert.equal(read.stdout, verdict, read.stderr);
    });
  }
});
