import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startOrigin, startRig } from './http-rig.ts';

describe('The bytes of bodies', () => {
  it('are told of in both directions, so that their buffers can be freed in time', async (t) => {
    const origin = await startOrigin(t, (request, response) => {
      request.resume().on('end', () => response.end(Buffer.alloc(30_000)));
    });
    let told = 0;
    const onBodyBytes = (bytes: number): void => {
      told += bytes;
    };
    const { port } = await startRig(t, { instances: { p1: origin }, listener: { onBodyBytes } });
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      body: Buffer.alloc(500_000),
    });
    assert.equal((await answer.arrayBuffer()).byteLength, 30_000);
    assert.equal(told, 530_000);
  });
});
