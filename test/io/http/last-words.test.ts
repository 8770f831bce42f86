import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderBlock, type ResponseReceiver } from '../../../src/http/index.ts';
import type { ServeHttp } from '../../../src/io/http/index.ts';
import { RawClient, startRig } from './http-rig.ts';
import { echoing, nothing } from './listener-parts.ts';

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Begins an answer and breaks it off in the same turn. */
function breakOff(response: ResponseReceiver): void {
  const framing = { kind: 'length', bytes: 9 } as const;
  response.head({ status: 200, reason: 'OK', headers: HeaderBlock.empty, framing });
  response.data(Buffer.from('abc'));
  response.reset('broken');
}

describe('what was received before a break', () => {
  it('reaches the client, and then the break', async (t) => {
    const instance: ServeHttp = (_, __, ___, response) => {
      breakOff(response);
      return nothing;
    };
    const rig = await startRig(t, { instances: { p1: instance } });
    const client = new RawClient(t, rig.port);
    client.send(get('/'));
    assert.match(await client.end(), /\r\n\r\nabc$/);
    assert.equal(client.hasError, true);
  });

  it('is the whole answer to the request before, where that one came in the same turn', async (t) => {
    const instance: ServeHttp = (name, request, envelope, response) => {
      if (request.target === '/whole') return echoing(name, request, envelope, response);
      breakOff(response);
      return nothing;
    };
    const rig = await startRig(t, { instances: { p1: instance } });
    const client = new RawClient(t, rig.port);
    client.send(get('/whole') + get('/broken'));
    assert.match(await client.end(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nGET \/whole\n/);
    assert.equal(client.hasError, true);
  });
});
