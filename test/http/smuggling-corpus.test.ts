import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { corpus, type SmugglingCase } from './smuggling/corpus.ts';
import { bytewise, readRequests, seeded, split } from './smuggling/reading.ts';

/** Requests, host, the fault's code and status, and what is left open. */
function check(known: SmugglingCase, pieces: readonly Buffer[]): void {
  const { requests, hosts, fault, isClosed, isInside } = readRequests(pieces);
  assert.deepEqual(requests, known.upstream);
  assert.deepEqual([fault?.code, fault?.status], [known.code, known.refused]);
  assert.equal(isClosed, known.isClosed, 'the connection goes on, or not');
  assert.equal(isInside, known.isWaiting && known.bytes.length > 2, 'nothing is left open');
  if (known.host !== undefined) assert.equal(hosts[0], known.host);
}

describe('the corpus of ambiguous requests', () => {
  it('has a verdict for each file and a file for each verdict', () => {
    const files = readdirSync(new URL('smuggling/', import.meta.url));
    assert.deepEqual(
      corpus.map(({ name }) => name).sort(),
      files.filter((file) => file.endsWith('.raw')).sort(),
    );
    assert.ok(corpus.length >= 80);
    for (const { name, why } of corpus) assert.match(why, /RFC \d+ section/, name);
  });

  for (const known of corpus) {
    it(`${known.name}: ${known.why}`, { todo: known.todo ?? false }, () => {
      check(known, [known.bytes]);
      check(known, bytewise(known.bytes));
      const random = seeded(known.bytes.length);
      for (let round = 0; round < 8; round++) check(known, split(known.bytes, random));
    });
  }
});
