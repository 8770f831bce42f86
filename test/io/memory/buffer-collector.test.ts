import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { memoryLimits } from '../../../src/config/defaults.ts';
import { BufferCollector, minorCollection } from '../../../src/io/memory/buffer-collector.ts';

describe('the buffers of bodies that passed', () => {
  it('are collected once for each portion of bytes', () => {
    let collections = 0;
    const collector = new BufferCollector(() => (collections += 1));
    const piece = memoryLimits.bytesPerCollection / 32;
    for (let at = 0; at < 31; at++) collector.passed(piece);
    assert.equal(collections, 0);
    collector.passed(piece);
    assert.equal(collections, 1);
    for (let at = 0; at < 64; at++) collector.passed(piece);
    assert.equal(collections, 3);
  });

  it('are given back to the system by a collection of young objects alone', () => {
    const collect = minorCollection();
    const collectedBytes = (collections: () => void): number => {
      collect();
      const before = process.memoryUsage().arrayBuffers;
      for (let at = 0; at < 128; at++) Buffer.allocUnsafeSlow(65_536);
      collections();
      return 128 * 65_536 - (process.memoryUsage().arrayBuffers - before);
    };
    // V8 frees them beside the running program: the second one waits for what the first one found.
    const freed = collectedBytes(() => {
      collect();
      collect();
    });
    assert.ok(freed > 100 * 65_536, `only ${freed} bytes were freed`);
  });
});
