import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpLimits } from '../../../src/config/defaults.ts';
import { WaitingBytes } from '../../../src/io/http/waiting-bytes.ts';

describe('bytes that wait', () => {
  it('come back in order, once', () => {
    const waiting = new WaitingBytes();
    assert.equal(waiting.take(), undefined);
    for (const text of ['GET ', '/', ' HTTP/1.1']) waiting.add(Buffer.from(text));
    assert.equal(waiting.bytes, 14);
    assert.equal(waiting.take()?.toString(), 'GET / HTTP/1.1');
    assert.equal(waiting.bytes, 0);
    assert.equal(waiting.take(), undefined);
  });

  it('are enough by their number, and by the number of pieces', () => {
    const large = new WaitingBytes();
    large.add(Buffer.alloc(httpLimits.pipelinedBytesMax));
    assert.equal(large.isFull, false);
    large.add(Buffer.alloc(1));
    assert.equal(large.isFull, true);
    const many = new WaitingBytes();
    for (let at = 1; at < httpLimits.pipelinedPiecesMax; at++) many.add(Buffer.alloc(1));
    assert.equal(many.isFull, false);
    many.add(Buffer.alloc(1));
    assert.equal(many.isFull, true);
    many.take();
    assert.equal(many.isFull, false);
  });
});
