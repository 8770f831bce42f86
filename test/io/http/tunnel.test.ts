import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import {
  type BodyFraming,
  HeaderBlock,
  type RequestHead,
  type RequestReceiver,
  type ResponseHead,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import type { ServeHttp } from '../../../src/io/http/index.ts';
import { Recorder } from '../link/test-peer.ts';
import { RawClient, startRig } from './http-rig.ts';
import { echoRequest, openEcho } from './tunnel-contract.ts';

const switching: ResponseHead = {
  status: 101,
  reason: 'Switching Protocols',
  headers: HeaderBlock.of([
    ['Upgrade', 'echo/1'],
    ['Sec-WebSocket-Accept', 'abc='],
  ]),
  framing: { kind: 'tunnel' },
};

/** An instance whose tunnels give back what they get. */
const echo: ServeHttp = (_, __, ___, response) => {
  response.head(switching);
  return {
    data: (chunk) => {
      response.data(chunk);
    },
    end: () => {
      response.end([]);
    },
    reset: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
  };
};

/** An instance whose side of the exchanges is the test's. */
class Instance {
  readonly requests: RequestHead[] = [];
  readonly bodies: Recorder[] = [];
  readonly responses: ResponseReceiver[] = [];
  readonly serve: ServeHttp = (_, request, __, response): RequestReceiver => {
    const body = new Recorder();
    this.requests.push(request);
    this.bodies.push(body);
    this.responses.push(response);
    return body;
  };

  async asked(count = 1): Promise<void> {
    while (this.requests.length < count) await new Promise(setImmediate);
  }
}

function answerOk(response: ResponseReceiver, text = 'ok'): void {
  response.head({
    status: 200,
    reason: 'OK',
    headers: HeaderBlock.empty,
    framing: { kind: 'length', bytes: text.length },
  });
  response.data(Buffer.from(text));
  response.end([]);
}

const plainRequest = 'GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

describe('a request for another protocol', () => {
  it('reaches the instance with its Upgrade and all that belongs to it', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, { instances: { p1: instance.serve } });
    const client = new RawClient(t, rig.port);
    client.send(
      'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n' +
        'Expect: 100-continue\r\nSec-WebSocket-Key: k==\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    await instance.asked();
    const [request] = instance.requests;
    assert.deepEqual(request?.framing, { kind: 'tunnel' });
    assert.equal(request.headers.get('upgrade'), 'websocket');
    assert.equal(request.headers.get('connection'), undefined);
    // There is no body to wait for.
    assert.equal(request.headers.get('expect'), undefined);
    assert.equal(request.headers.get('sec-websocket-key'), 'k==');
    assert.equal(request.headers.get('sec-websocket-protocol'), 'a, b');
    // Whether there will be a body is not known before the answer.
    assert.equal(instance.bodies[0]?.trailers, undefined);
    instance.responses[0]?.head(switching);
    const text = await client.until(/\r\n\r\n$/);
    assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(text, /\r\nSec-WebSocket-Accept: abc=\r\n/);
  });

  for (const [what, lines, framing] of [
    [
      'HTTP/2 in clear text',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n',
      'none',
    ],
    ['TLS', 'Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n', 'none'],
    ['several at once', 'Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n', 'none'],
    ['one that Connection does not name', 'Upgrade: websocket\r\n', 'none'],
    [
      'one, with a body',
      'Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n',
      'length',
    ],
  ] as const) {
    it(`for ${what} is served as HTTP, without Upgrade`, async (t) => {
      const instance = new Instance();
      const rig = await startRig(t, { instances: { p1: instance.serve } });
      const client = new RawClient(t, rig.port);
      client.send(`POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`);
      if (framing === 'length') client.send('hi');
      await instance.asked();
      const [request] = instance.requests;
      assert.equal(request?.framing.kind, framing);
      assert.equal(request.headers.get('upgrade'), undefined);
      assert.equal(request.headers.get('http2-settings'), undefined);
      await instance.bodies[0]!.until(({ trailers }) => trailers !== undefined);
      instance.responses[0]!.head(switching);
      assert.match(await client.until(/\n$/), /^HTTP\/1\.1 502 /);
    });
  }

  it('is ended for its instance when it answers otherwise, before the answer ends', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, { instances: { p1: instance.serve } });
    const client = new RawClient(t, rig.port);
    client.send(echoRequest + plainRequest);
    await instance.asked();
    const [response] = instance.responses;
    response!.head({ ...switching, status: 103, framing: { kind: 'none' } });
    assert.equal(instance.bodies[0]!.trailers, undefined);
    response!.head({ ...switching, status: 200, framing: { kind: 'length', bytes: 2 } });
    assert.deepEqual(instance.bodies[0]!.trailers, []);
    response!.data(Buffer.from('no'));
    response!.end([]);
    await instance.asked(2);
    assert.equal(instance.bodies[0]!.code, undefined);
    answerOk(instance.responses[1]!);
    assert.match(await client.end(), /\r\n\r\nnoHTTP\/1\.1 200 OK\r\n[^]*ok$/);
  });

  it('that nobody takes leaves its client connected', async (t) => {
    let offers = 0;
    const rig = await startRig(t, {
      instances: {
        p1: (_, request, __, response) => {
          if (request.framing.kind === 'none') answerOk(response);
          else if (++offers > 0) return undefined;
          return new Recorder();
        },
      },
    });
    const client = new RawClient(t, rig.port);
    client.send(echoRequest + plainRequest);
    assert.match(await client.end(), /^HTTP\/1\.1 503 [^]*\nHTTP\/1\.1 200 OK\r\n[^]*ok$/);
    assert.equal(offers, 1);
  });

  it('that one instance refuses is offered to the next', async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.reset('refused');
          return new Recorder();
        },
        p2: echo,
      },
      routing: { contextRoots: [] },
    });
    const clients = [await openEcho(t, rig.port), await openEcho(t, rig.port)];
    for (const client of clients) {
      client.send('hello');
      await client.until(/^hello$/);
    }
    assert.equal(rig.counters.get('http_retries', 'refused'), 1);
  });

  it('that breaks without an answer is not asked again', async (t) => {
    let asked = 0;
    const breaking: ServeHttp = (_, __, ___, response) => {
      asked++;
      setImmediate(() => {
        response.reset('broken');
      });
      return new Recorder();
    };
    const rig = await startRig(t, { instances: { p1: breaking, p2: breaking } });
    const client = new RawClient(t, rig.port);
    client.send(echoRequest);
    assert.match(await client.until(/\n$/), /^HTTP\/1\.1 502 /);
    assert.equal(asked, 1);
  });

  for (const [status, framing] of [
    [101, { kind: 'none' }],
    [101, { kind: 'chunked' }],
    [200, { kind: 'tunnel' }],
    [426, { kind: 'tunnel' }],
  ] as const satisfies (readonly [number, BodyFraming])[]) {
    it(`gets 502 when the answer is ${status} with framing ${framing.kind}`, async (t) => {
      const instance = new Instance();
      const rig = await startRig(t, { instances: { p1: instance.serve } });
      const client = new RawClient(t, rig.port);
      client.send(echoRequest);
      await instance.asked();
      instance.responses[0]!.head({ ...switching, status, framing });
      assert.match(await client.until(/\n$/), /^HTTP\/1\.1 502 /);
      assert.equal(instance.bodies[0]!.code, 'broken');
    });
  }
});

describe('a tunnel of a client', () => {
  it('takes the answer that comes before its request has been handed over', async (t) => {
    const rig = await startRig(t, { instances: { p1: echo } });
    const client = new RawClient(t, rig.port);
    client.send(`${echoRequest}early;`);
    await client.until(/early;$/);
    client.send(plainRequest);
    await client.until(/close\r\n\r\n$/);
    client.socket.end();
    await client.end();
    assert.equal(rig.counters.get('http_requests', 'received'), 1);
    assert.equal(rig.counters.get('http_tunnels', 'closed'), 1);
  });

  it('ends for the instance behind bytes that waited', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, { instances: { p1: instance.serve } });
    const client = new RawClient(t, rig.port);
    client.send(`${echoRequest}behind the head`);
    await instance.asked();
    const [[response], [body]] = [instance.responses, instance.bodies];
    response!.pause();
    response!.head(switching);
    await client.until(/\r\n\r\n$/);
    client.socket.end();
    await once(client.socket, 'finish');
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(body!.trailers, undefined);
    response!.resume();
    await body!.until(({ trailers }) => trailers !== undefined);
    assert.equal(body!.text, 'behind the head');
  });

  it('holds its client back while the instance takes nothing', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, { instances: { p1: instance.serve } });
    const client = new RawClient(t, rig.port);
    client.send(`${echoRequest}behind the head;`);
    await instance.asked();
    const [[response], [body]] = [instance.responses, instance.bodies];
    response!.pause();
    response!.head(switching);
    await client.until(/\r\n\r\n$/);
    client.socket.end('and the rest');
    await new Promise(setImmediate);
    assert.equal(body!.bytes, 0);
    response!.resume();
    await body!.until(({ trailers }) => trailers !== undefined);
    assert.equal(body!.text, 'behind the head;and the rest');
    response!.end([]);
    await client.end();
  });

  it('ends for its client at once when the instance ends it, in order', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, { instances: { p1: instance.serve } });
    const client = new RawClient(t, rig.port);
    client.socket.allowHalfOpen = true;
    client.send(echoRequest);
    await instance.asked();
    const [[response], [body]] = [instance.responses, instance.bodies];
    response!.head(switching);
    response!.data(Buffer.from('last words'));
    response!.end([]);
    await once(client.socket, 'end');
    assert.match(client.text, /last words$/);
    client.send('answer');
    await body!.until(({ bytes }) => bytes > 0);
    // The instance breaks the direction that it still reads.
    response!.reset('broken');
    while (!client.isClosed) {
      client.send('more');
      await new Promise(setImmediate);
    }
    assert.equal(client.hasError, true);
    assert.equal(rig.counters.get('http_tunnels', 'broken'), 1);
  });

  it('does not fill the log when it breaks', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, { instances: { p1: instance.serve } });
    const client = new RawClient(t, rig.port);
    client.send(echoRequest);
    await instance.asked();
    instance.responses[0]!.head(switching);
    instance.responses[0]!.reset('broken');
    await client.end();
    assert.deepEqual(rig.log, []);
    assert.equal(rig.counters.get('http_errors', '502'), 0);
  });

  it('is cut when nothing passes for too long, and only then', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, {
      instances: {
        p1: (name, request, ...rest) =>
          (request.target === '/quiet' ? instance.serve : echo)(name, request, ...rest),
      },
      listener: { timeouts: { sweepIntervalMs: 5, tunnelIdleMs: 100 } },
    });
    const busy = await openEcho(t, rig.port);
    busy.socket.on('data', () => busy.socket.write('again'));
    busy.send('again');
    const quiet = new RawClient(t, rig.port);
    const listening = new RawClient(t, rig.port);
    for (const client of [quiet, listening]) {
      client.send(echoRequest.replace('/echo', '/quiet'));
      await instance.asked(client === quiet ? 1 : 2);
    }
    for (const response of instance.responses) response.head(switching);
    while (!quiet.isClosed) {
      instance.responses[1]!.data(Buffer.from('.'));
      await new Promise(setImmediate);
    }
    assert.equal(listening.isClosed, false);
    assert.equal(quiet.hasError, true);
    assert.equal(instance.bodies[0]!.code, 'timeout');
    assert.equal(rig.counters.get('http_tunnels', 'idle'), 1);
    assert.equal(rig.counters.get('http_timeouts', 'tunnel'), 1);
    assert.equal(busy.isClosed, false);
  });

  it('may be quiet for ever where that is configured', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: echo },
      listener: {
        timeouts: {
          sweepIntervalMs: 5,
          tunnelIdleMs: 0,
          idleMs: 50,
          bodyMs: 5,
          responseMs: 5,
          headMs: 5,
          requestMs: 5,
        },
      },
    });
    const tunnel = await openEcho(t, rig.port);
    // A connection without a request, opened later, shows that time has passed.
    await new RawClient(t, rig.port).end();
    tunnel.send('still here');
    await tunnel.until(/still here/);
  });

  for (const hasEnded of [false, true]) {
    const when = hasEnded ? ', also behind its end' : '';
    it(`is cut when its client takes nothing for too long${when}`, async (t) => {
      const instance = new Instance();
      const rig = await startRig(t, {
        instances: { p1: instance.serve },
        listener: { timeouts: { sweepIntervalMs: 5, writeMs: 30 } },
      });
      const client = new RawClient(t, rig.port);
      client.send(echoRequest);
      await instance.asked();
      const [[response], [body]] = [instance.responses, instance.bodies];
      response!.head(switching);
      await client.until(/\r\n\r\n$/);
      client.socket.pause();
      while (!body!.isPaused) {
        response!.data(Buffer.alloc(65_536));
        await new Promise(setImmediate);
      }
      if (hasEnded) response!.end([]);
      await body!.until(({ code }) => code !== undefined);
      assert.equal(body!.code, 'cancelled');
      assert.equal(rig.counters.get('http_timeouts', 'write'), 1);
      assert.equal(rig.counters.get('http_tunnels', 'aborted'), 1);
    });
  }

  it('goes on when its client, slow at first, has taken all up to the end', async (t) => {
    const instance = new Instance();
    const rig = await startRig(t, {
      instances: { p1: instance.serve },
      listener: { timeouts: { sweepIntervalMs: 5, writeMs: 100, idleMs: 200 } },
    });
    const client = new RawClient(t, rig.port);
    client.socket.allowHalfOpen = true;
    client.send(echoRequest);
    await instance.asked();
    const [[response], [body]] = [instance.responses, instance.bodies];
    response!.head(switching);
    await client.until(/\r\n\r\n$/);
    client.socket.pause();
    while (!body!.isPaused) {
      response!.data(Buffer.alloc(65_536));
      await new Promise(setImmediate);
    }
    response!.end([]);
    client.socket.resume();
    await once(client.socket, 'end');
    // Opened later, and closed when more than the time to write has passed.
    await new RawClient(t, rig.port).end();
    client.send('still here');
    await body!.until(({ bytes }) => bytes > 0);
  });

  it('goes on while the listener stops, and is cut at its deadline', async (t) => {
    const rig = await startRig(t, { instances: { p1: echo } });
    const tunnel = await openEcho(t, rig.port);
    rig.listener.drain();
    const stopped = rig.listener.stop(60_000);
    tunnel.send('meanwhile');
    await tunnel.until(/meanwhile/);
    tunnel.socket.end();
    await stopped;
    assert.equal(rig.counters.get('http_tunnels', 'closed'), 1);

    const other = await startRig(t, { instances: { p1: echo } });
    const cut = await openEcho(t, other.port);
    await other.listener.stop(0);
    await cut.end();
    assert.equal(other.counters.get('http_tunnels', 'aborted'), 1);
  });
});
