import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpLimits } from '../../../src/config/defaults.ts';
import { ReplayBody } from '../../../src/io/http/replay-body.ts';

describe('the beginning of a body kept for another try', () => {
  it('is given up above its bytes, and above its pieces: each costs more than it holds', () => {
    const few = new ReplayBody(httpLimits.replayBytesMax);
    few.data(Buffer.alloc(httpLimits.replayBytesMax));
    assert.equal(few.canReplay, true);
    few.data(Buffer.alloc(1));
    assert.equal(few.canReplay, false);
    const many = new ReplayBody(httpLimits.replayBytesMax);
    for (let piece = 0; piece < httpLimits.replayPiecesMax; piece++) many.data(Buffer.alloc(1));
    assert.equal(many.canReplay, true);
    many.data(Buffer.alloc(1));
    assert.equal(many.canReplay, false);
  });
});
