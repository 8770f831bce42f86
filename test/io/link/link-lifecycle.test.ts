import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import type { ResponseReceiver } from '../../../src/http/index.ts';
import { linkLimits } from '../../../src/config/defaults.ts';
import { relayMethod } from '../../../src/io/link/service.ts';
import { nothing } from '../http/listener-parts.ts';
import {
  Cable,
  Recorder,
  TestPeer,
  envelope,
  getRequest,
  linked,
  okResponse,
  stopAll,
} from './test-peer.ts';

/** For what is told by no event. */
async function turnsUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await nextTurn();
}

describe('the life of a link', () => {
  const started: TestPeer[] = [];
  const cables: Cable[] = [];

  function peer(...options: ConstructorParameters<typeof TestPeer>): TestPeer {
    const made = new TestPeer(...options);
    started.push(made);
    return made;
  }

  /** `a` reaches `b` through a cable; `b` reaches `a` straight. */
  async function cabled(a: TestPeer, b: TestPeer): Promise<Cable> {
    await Promise.all([a.links.start(), b.links.start()]);
    const cable = await Cable.to(b.links.port);
    cables.push(cable);
    a.links.setPeers([b.member(cable.address)]);
    b.links.setPeers([a.member()]);
    await a.untilUp(b);
    await b.untilUp(a);
    return cable;
  }

  afterEach(async () => {
    for (const cable of cables.splice(0)) cable.cut();
    await stopAll(...started.splice(0));
  });

  for (const how of ['cut', 'silence'] as const) {
    it(`ends exchanges and takes no work after a ${how} of the connection`, async () => {
      const a = peer('a', { limits: { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50 } });
      const b = peer('b', { limits: { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50 } });
      const served = new Recorder();
      b.serve = (_request, _envelope, response) => {
        response.head(okResponse);
        return served;
      };
      const cable = await cabled(a, b);
      const response = new Recorder();
      a.links.openHttp('b', getRequest, envelope, response);
      await response.until(({ heads }) => heads.length === 1);
      cable[how]();
      await response.until(({ code }) => code !== undefined);
      assert.equal(response.code, 'broken');
      assert.equal(a.links.isUp('b'), false);
      assert.equal(a.links.sendSipRequest('b', Buffer.from('x'), envelope), false);
      assert.equal(a.links.openHttp('b', getRequest, envelope, new Recorder()), undefined);
      assert.equal(a.counters.get('link_http_refusals', 'not_up'), 1);
      await a.until(() => a.failed.length === 1);
      assert.deepEqual(a.failed, ['b']);
      await served.until(({ code }) => code !== undefined);
      assert.equal(served.code, 'broken');
    });
  }

  it('is silent while nothing answers the next dial, for a time, and not once that is refused', async () => {
    const limits = { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50, helloTimeoutMs: 50 };
    const a = peer('a', { limits: { ...limits, silenceMs: 60_000, reconnectBackoffMaxMs: 1 } });
    const b = peer('b');
    const cable = await cabled(a, b);
    assert.equal(a.links.isSilent('b'), false, 'it is up');
    assert.equal(a.links.isSilent('c'), false, 'nobody');
    cable.freeze();
    await a.until(() => !a.links.isUp('b'));
    assert.equal(a.links.isSilent('b'), true);
    await turnsUntil(() => a.counters.get('link_failures', 'silent') > 0);
    assert.equal(a.links.isSilent('b'), true, 'a dial without an answer says nothing');
    cable.cut();
    await turnsUntil(() => !a.links.isSilent('b'));
    assert.ok(a.counters.get('link_failures', 'unreachable') > 1, 'it was refused');
  });

  it('is not silent when it broke behind a goodbye', async () => {
    const a = peer('a', { limits: { silenceMs: 60_000 } });
    const b = peer('b');
    const cable = await cabled(a, b);
    const { promise: asking, resolve: asked } = Promise.withResolvers<undefined>();
    const stopped = b.links.stop(10_000, asking);
    await turnsUntil(() => !a.links.isUp('b'));
    cable.cut();
    await a.until(() => a.downReasons.length > 0);
    assert.deepEqual([a.downReasons[0], a.links.isSilent('b')], ['unreachable', false]);
    asked(undefined);
    await stopped;
  });

  it('is silent no longer than its limit', async () => {
    const limits = { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50, silenceMs: 0 };
    const a = peer('a', { limits });
    const cable = await cabled(a, peer('b'));
    cable.freeze();
    await a.until(() => !a.links.isUp('b'));
    assert.equal(a.links.isSilent('b'), false);
  });

  it('answers on its own link where the ingress peer has none', async () => {
    const a = peer('a');
    const b = peer('b');
    const cable = await cabled(a, b);
    cable.cut();
    await a.until(() => !a.links.isUp('b'));
    assert.ok(b.links.sendSipResponse('a', Buffer.from('late answer')));
    await a.until(() => a.responses.length === 1);
  });

  it('avoids a peer for a while whose link breaks soon, though it is up again', async () => {
    const limits = { reconnectBackoffMinMs: 1, steadyMs: 60_000, avoidMs: 60_000 };
    const a = peer('a', { limits });
    const b = peer('b');
    const cable = await cabled(a, b);
    cable.break();
    await a.until(() => a.ups === 2);
    assert.equal(a.downReasons[0], 'unreachable');
    assert.equal(a.links.isUp('b'), false);
    assert.equal(a.links.sendSipRequest('b', Buffer.from('x'), envelope), false);
  });

  it('uses a link that was steady as soon as it is up again, and dials it at once', async () => {
    const limits = { reconnectBackoffMinMs: 60_000, steadyMs: 0, avoidMs: 60_000 };
    const a = peer('a', { limits });
    const b = peer('b');
    const cable = await cabled(a, b);
    cable.break();
    await a.until(() => a.ups === 2);
    assert.deepEqual(a.failed, ['b']);
    assert.ok(a.links.sendSipRequest('b', Buffer.from('again'), envelope));
    await b.until(() => b.requests.length === 1);
  });

  it('is up again by itself', async () => {
    const a = peer('a', { limits: { reconnectBackoffMinMs: 1, avoidMs: 0 } });
    const b = peer('b');
    const cable = await cabled(a, b);
    cable.break();
    await a.until(() => a.ups === 2);
    assert.ok(a.links.sendSipRequest('b', Buffer.from('again'), envelope));
    await b.until(() => b.requests.length === 1);
  });

  it('dials again after a refusal, once the membership has arrived', async () => {
    const a = peer('a', { limits: { reconnectBackoffMinMs: 1, reconnectBackoffMaxMs: 5 } });
    const b = peer('b');
    await Promise.all([a.links.start(), b.links.start()]);
    a.links.setPeers([b.member()]);
    await a.until(() => a.downReasons.length > 0);
    assert.equal(a.downReasons[0], 'refused');
    assert.ok(b.counters.get('link_refusals', 'not_a_member') > 0);
    assert.equal(a.links.isUp('b'), false);
    assert.deepEqual(a.failed, []);
    b.links.setPeers([a.member()]);
    await a.untilUp(b);
  });

  it('refuses another cluster', async () => {
    const a = peer('a', { cluster: 'other' });
    const b = peer('b');
    await Promise.all([a.links.start(), b.links.start()]);
    b.links.setPeers([a.member()]);
    a.links.setPeers([b.member()]);
    await a.until(() => a.downReasons.length > 0);
    assert.equal(a.downReasons[0], 'refused');
    assert.ok(b.counters.get('link_refusals', 'wrong_cluster') > 0);
  });

  it('refuses a peer that answers under another name', async () => {
    const a = peer('a');
    const b = peer('b');
    await Promise.all([a.links.start(), b.links.start()]);
    b.links.setPeers([a.member()]);
    a.links.setPeers([{ ...b.member(), name: 'c' }]);
    await a.until(() => a.downReasons.length > 0);
    assert.equal(a.downReasons[0], 'wrong_peer');
    assert.equal(a.links.isUp('c'), false);
  });

  it('tells of a peer that cannot be reached', async () => {
    const a = peer('a');
    const gone = peer('b');
    await Promise.all([a.links.start(), gone.links.start()]);
    const member = gone.member();
    await gone.links.stop(0);
    a.links.setPeers([member]);
    await a.until(() => a.downReasons.length > 0);
    assert.deepEqual(a.downReasons, ['unreachable']);
    assert.deepEqual(a.failed, ['b']);
  });

  it('does not dial a member that tells no usable address', async () => {
    const a = peer('a');
    const b = peer('b');
    await Promise.all([a.links.start(), b.links.start()]);
    b.links.setPeers([a.member()]);
    a.links.setPeers([b.member(), { name: 'x', epoch: 1, address: '' }, { ...a.member('y') }]);
    await a.untilUp(b);
    assert.equal(a.links.isUp('x'), false);
    assert.equal(a.counters.get('link_failures', 'bad_address'), 2);
  });

  it('lives on whatever a member tells as its address', async () => {
    const a = peer('a');
    const b = peer('b');
    await Promise.all([a.links.start(), b.links.start()]);
    const addresses = [
      '\nx:5',
      'a b:80',
      'unix:/x:80',
      '127.0.0.1:99999',
      '127.0.0.1:0',
      '[zz]:80',
    ];
    const strange = addresses.map((address, at) => ({ name: `x${at}`, epoch: 1, address }));
    b.links.setPeers([a.member()]);
    a.links.setPeers([...strange, b.member()]);
    await a.untilUp(b);
    assert.equal(a.counters.get('link_failures', 'bad_address'), addresses.length);
  });

  it('closes the links of a member that is gone, on both sides', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    const served = new Recorder();
    b.serve = () => served;
    const response = new Recorder();
    a.links.openHttp('b', getRequest, envelope, response);
    b.links.setPeers([]);
    await response.until(({ code }) => code !== undefined);
    assert.equal(b.links.isUp('a'), false);
    assert.equal(b.links.sendSipResponse('a', Buffer.from('x')), false);
    await a.until(() => !a.links.isUp('b'));
  });

  it('follows a peer that said goodbye and restarts with a clock that went back', async () => {
    const a = peer('a');
    const old = peer('b', { epoch: 5 });
    await linked(a, old);
    await old.links.stop(0);
    await a.until(() => !a.links.isUp('b'));
    const young = peer('b', { epoch: 4 });
    await young.links.start();
    young.links.setPeers([a.member()]);
    a.links.setPeers([young.member()]);
    await a.untilUp(young);
    assert.ok(a.links.sendSipRequest('b', Buffer.from('to the young'), envelope));
    await young.until(() => young.requests.length > 0);
  });

  it('follows a peer that restarts under its name, and refuses its former self', async () => {
    const a = peer('a');
    const old = peer('b', { epoch: 1 });
    await linked(a, old);
    const young = peer('b', { epoch: 2 });
    await young.links.start();
    young.links.setPeers([a.member()]);
    a.links.setPeers([young.member()]);
    await a.untilUp(young);
    await young.untilUp(a);
    a.links.sendSipRequest('b', Buffer.from('for the young'), envelope);
    await young.until(() => young.requests.length === 1);
    assert.deepEqual(old.requests, []);
    await old.until(() => old.downReasons.length > 0 && !old.links.isUp('a'));
    old.links.setPeers([]);
    old.links.setPeers([a.member()]);
    await old.until(() => old.downReasons.includes('refused'));
    assert.ok(a.counters.get('link_refusals', 'stale_epoch') > 0);
    assert.ok(a.links.isUp('b'));
  });

  it('takes no new work after a goodbye and lets running exchanges end', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    const served = new Recorder();
    b.serve = (_request, _envelope, response) => {
      response.head(okResponse);
      served.end = () => {
        response.data(Buffer.from('bye'));
        response.end([]);
      };
      return served;
    };
    const response = new Recorder();
    const request = a.links.openHttp('b', getRequest, envelope, response);
    assert.ok(request !== undefined);
    await response.until(({ heads }) => heads.length === 1);
    const stopped = b.links.stop(60_000);
    b.links.sendSipResponse('a', Buffer.from('after the goodbye'));
    await a.until(() => a.responses.length === 1);
    assert.equal(a.links.isUp('b'), false);
    assert.equal(a.links.openHttp('b', getRequest, envelope, new Recorder()), undefined);
    assert.equal(response.code, undefined);
    request.end([]);
    await response.until(({ trailers }) => trailers !== undefined);
    assert.equal(response.text, 'bye');
    await stopped;
    await a.until(() => a.downReasons.includes('left'));
    assert.deepEqual(a.failed, []);
  });

  it('refuses what was on its way when the peer left: nobody has begun it', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    const response = new Recorder();
    a.links.openHttp('b', { ...getRequest, method: 'POST' }, envelope, response)?.end([]);
    // It has nothing to wait for, and leaves before it reads the request.
    const stopped = b.links.stop(60_000);
    await response.until(({ code }) => code !== undefined);
    assert.equal(response.code, 'refused');
    await stopped;
  });

  it('sends all of the last responses before it leaves, however much they are', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    const answers: ResponseReceiver[] = [];
    b.serve = (_request, _envelope, response) => {
      response.head(okResponse);
      answers.push(response);
      return nothing;
    };
    const responses = Array.from({ length: 30 }, () => new Recorder());
    for (const response of responses) {
      a.links.openHttp('b', getRequest, envelope, response)?.end([]);
    }
    await Promise.all(responses.map((response) => response.until(({ heads }) => heads.length > 0)));
    const stopped = b.links.stop(60_000);
    const body = Buffer.alloc(250_000);
    for (const answer of answers) {
      answer.data(body);
      answer.end([]);
    }
    await Promise.all(
      responses.map((one) => one.until(({ trailers, code }) => (trailers ?? code) !== undefined)),
    );
    const seen = responses.map(({ bytes, code }) => ({ bytes, code }));
    assert.deepEqual(
      seen,
      seen.map(() => ({ bytes: body.length, code: undefined })),
    );
    await stopped;
    assert.equal(a.links.isUp('b'), false);
  });

  it('ends running exchanges at the deadline of a stop', async () => {
    const a = peer('a');
    const b = peer('b');
    await linked(a, b);
    const served = new Recorder();
    b.serve = (_request, _envelope, response) => {
      response.head(okResponse);
      return served;
    };
    const response = new Recorder();
    a.links.openHttp('b', getRequest, envelope, response);
    await response.until(({ heads }) => heads.length === 1);
    await b.links.stop(1);
    assert.equal(served.code, 'broken');
    await response.until(({ code }) => code !== undefined);
    assert.equal(response.code, 'broken');
  });

  /** A caller that keeps no rules. */
  async function statusOf(port: number, first: Buffer): Promise<{ code: status }> {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = relayMethod;
    const call = client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
    );
    call.resume();
    call.write(first);
    const error = await new Promise<ServiceError>((resolve) => call.on('error', resolve));
    client.close();
    return error;
  }

  it('refuses a message that is too large', async () => {
    const b = peer('b');
    await b.links.start();
    const large = await statusOf(b.links.port, Buffer.alloc(linkLimits.messageBytesMax + 1));
    assert.equal(large.code, status.RESOURCE_EXHAUSTED);
  });

  it('refuses a caller that does not say who it is', async () => {
    const b = peer('b');
    await b.links.start();
    const noise = await statusOf(b.links.port, Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    assert.equal(noise.code, status.INVALID_ARGUMENT);
    assert.equal(b.counters.get('link_violations', 'malformed'), 1);
    // Frame { sip_response { message: "x" } } without a hello before it.
    const early = Buffer.from([0x0a, 0x05, 0x12, 0x03, 0x0a, 0x01, 0x78]);
    assert.equal((await statusOf(b.links.port, early)).code, status.INVALID_ARGUMENT);
    assert.equal(b.counters.get('link_violations', 'no_hello'), 1);
    assert.deepEqual(b.responses, []);
  });

  it('does not wait for ever for a hello', async () => {
    const b = peer('b', { limits: { helloTimeoutMs: 20 } });
    await b.links.start();
    const nothing = await statusOf(b.links.port, Buffer.alloc(0));
    assert.equal(nothing.code, status.PERMISSION_DENIED);
    assert.equal(b.counters.get('link_refusals', 'no_hello'), 1);
  });

  it('rejects the start on an occupied port', async () => {
    const a = peer('a');
    await a.links.start();
    const listen = { address: '127.0.0.1', port: a.links.port };
    const b = new TestPeer('b', { listen });
    await assert.rejects(b.links.start());
  });
});
