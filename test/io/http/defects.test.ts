import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderBlock, type ResponseReceiver } from '../../../src/http/index.ts';
import type { ServeHttp } from '../../../src/io/http/index.ts';
import { RawClient, startRig } from './http-rig.ts';
import { echoing, nothing } from './listener-parts.ts';

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Serves each request later, as a server's socket does, in a callback that nobody guards. */
function later(serve: (response: ResponseReceiver, target: string) => void): ServeHttp {
  return (_, request, __, response) => {
    if (request.target === '/bad') throw new Error('a defect of ours');
    setImmediate(() => {
      serve(response, request.target);
    });
    return nothing;
  };
}

describe('a defect that shows when an instance calls back', () => {
  it('costs the request that begins then, behind the answer to the one before', async (t) => {
    const instance = later((response, target) => {
      echoing(
        'p1',
        { method: 'GET', target, headers: HeaderBlock.empty } as never,
        {} as never,
        response,
      );
    });
    const rig = await startRig(t, { instances: { p1: instance } });
    const client = new RawClient(t, rig.port);
    client.send(get('/good') + get('/bad'));
    const text = await client.end();
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[^]*GET \/good\nHTTP\/1\.1 500 [^]*Error\n$/);
    assert.equal(rig.counters.get('http_defects', 'connection'), 1);
  });

  it('costs the request that is offered to the next one then', async (t) => {
    let offers = 0;
    const refusing = later((response) => {
      response.reset('refused');
    });
    const instance: ServeHttp = (name, request, envelope, response) => {
      if (++offers === 2) throw new Error('a defect of ours');
      return refusing(name, request, envelope, response);
    };
    const rig = await startRig(t, { instances: { p1: instance, p2: instance } });
    const client = new RawClient(t, rig.port);
    client.send(get('/'));
    assert.match(await client.until(/Error\n$/), /^HTTP\/1\.1 500 /);
    assert.equal(rig.counters.get('http_defects', 'request'), 1);
  });
});
