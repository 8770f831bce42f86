import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  Recorder,
  TestPeer,
  envelope,
  getRequest,
  linked,
  okResponse,
  stopAll,
} from './test-peer.ts';

describe('The bytes of bodies over a link', () => {
  it('are told of by the peer that serves, in both directions', async (t) => {
    const told = { a: 0, b: 0 };
    const a = new TestPeer('a', { onBodyBytes: (bytes) => (told.a += bytes) });
    const b = new TestPeer('b', { onBodyBytes: (bytes) => (told.b += bytes) });
    t.after(() => stopAll(a, b));
    await linked(a, b);
    const served = new Recorder();
    b.serve = (_request, _envelope, response) => {
      response.head(okResponse);
      response.data(Buffer.alloc(1_000));
      response.end([]);
      return served;
    };
    const answer = new Recorder();
    const request = a.links.openHttp('b', getRequest, envelope, answer);
    request?.data(Buffer.alloc(100_000));
    request?.end([]);
    await answer.until(({ trailers }) => trailers !== undefined);
    await served.until(({ trailers }) => trailers !== undefined);
    assert.deepEqual(told, { a: 0, b: 101_000 });
  });
});
