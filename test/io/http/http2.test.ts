import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { describe, it } from 'node:test';
import { http2Limits, httpLimits } from '../../../src/config/defaults.ts';
import { openHttp2 } from '../../../src/io/http/http2-connection.ts';
import type { ServeHttp } from '../../../src/io/http/index.ts';
import type { ListenerContext } from '../../../src/io/http/listener-context.ts';
import {
  codeOf,
  data,
  endStream,
  errorCodes,
  FrameClient,
  get,
  headers,
  initialWindowSize,
  post,
  reset,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { closedPort, startRig } from './http-rig.ts';
import {
  answering,
  answerOf,
  ask,
  dial,
  quick,
  type Served,
  startHttp2,
  Stub,
} from './http2-rig.ts';
import { nothing, until } from './listener-parts.ts';

/** Waits for the next request of an instance. */
async function served(stub: Stub, at = 0): Promise<Served> {
  await until(() => stub.requests.length > at);
  return stub.requests[at]!;
}

describe('a request of HTTP/2', () => {
  it('reaches its instance as one of HTTP/1.1 would, and is answered', async (t) => {
    const stub = answering();
    const rig = await startHttp2(t, stub.serve);
    const session = dial(t, rig.port);
    const { headers: fields, body } = await ask(session, {
      ':path': '/a?b',
      ':authority': 'a.example.org',
      'x-one': '1',
      cookie: ['a=1', 'b=2'],
    });
    assert.equal(fields[':status'], 200);
    assert.equal(fields['content-length'], '4');
    assert.match(String(fields.date), / GMT$/);
    assert.equal(body.toString(), '/a?b');
    const { head } = stub.requests[0]!;
    assert.equal(head.method, 'GET');
    assert.equal(head.framing.kind, 'none');
    assert.equal(head.headers.get('host'), 'a.example.org');
    assert.equal(head.headers.get('x-one'), '1');
    assert.deepEqual(head.headers.all('cookie'), ['a=1; b=2']);
    assert.equal(head.headers.get('via'), '2 sailring');
    assert.equal(head.headers.get('x-forwarded-for'), '127.0.0.1');
    assert.equal(rig.counters.get('http_requests', 'received'), 1);
    assert.equal(rig.counters.get('http_aborts', 'client'), 0);
  });

  it('runs beside others of its connection', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const session = dial(t, rig.port);
    const answers = ['/a', '/b', '/c'].map((path) => ask(session, { ':path': path }));
    await served(stub, 2);
    for (const request of [...stub.requests].reverse()) request.answer(request.head.target);
    const bodies = (await Promise.all(answers)).map(({ body }) => body.toString());
    assert.deepEqual(bodies, ['/a', '/b', '/c']);
    assert.equal(rig.listener.connections, 1);
  });

  it('is told how many may run at one time', async (t) => {
    const rig = await startHttp2(t, answering().serve, { streamsMax: 7 });
    const session = dial(t, rig.port);
    const [settings] = (await once(session, 'remoteSettings')) as [
      { maxConcurrentStreams: number },
    ];
    assert.equal(settings.maxConcurrentStreams, 7);
  });

  it('brings its body and its trailers', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const stream = dial(t, rig.port).request(
      { ':method': 'POST', te: 'trailers' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => {
      stream.sendTrailers({ 'x-sum': '7', host: 'evil' });
    });
    stream.end('hello');
    const request = await served(stub);
    await until(() => request.trailers !== undefined);
    assert.equal(request.body, 'hello');
    assert.equal(request.head.framing.kind, 'chunked');
    assert.equal(request.head.headers.get('te'), 'trailers');
    assert.deepEqual(request.trailers, [['x-sum', '7']]);
    request.answer();
    await answerOf(stream);
  });

  it('keeps the length that its body has', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const answer = ask(
      dial(t, rig.port),
      { ':method': 'PUT', 'content-length': '5', expect: '100-continue' },
      'hello',
    );
    const request = await served(stub);
    assert.deepEqual(request.head.framing, { kind: 'length', bytes: 5 });
    assert.equal(request.head.headers.get('expect'), '100-continue');
    await until(() => request.trailers !== undefined);
    request.answer('done');
    assert.equal((await answer).body.toString(), 'done');
  });

  it('is given to the next instance when one refuses, body and all', async (t) => {
    const stub = new Stub();
    const refusing: ServeHttp = (_, __, ___, response) => {
      setImmediate(() => {
        response.reset('refused');
      });
      return nothing;
    };
    const rig = await startRig(t, {
      instances: { p1: refusing, p2: stub.serve },
      listener: { openHttp2 },
    });
    const session = dial(t, rig.port);
    const answers = ['a', 'b'].map((body) => ask(session, { ':method': 'POST' }, body));
    await served(stub, 1);
    await until(() => stub.requests.every(({ trailers }) => trailers !== undefined));
    for (const request of stub.requests) request.answer(request.body);
    const bodies = (await Promise.all(answers)).map(({ body }) => body.toString());
    assert.deepEqual(bodies, ['a', 'b']);
    assert.equal(rig.counters.get('http_retries', 'refused'), 1);
  });
});

describe('a response to HTTP/2', () => {
  it('without a body is one frame', async (t) => {
    const stub = new Stub((request) => {
      request.begin(200, [['Grpc-Status', '12']], { kind: 'none' }).end([]);
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()));
    assert.equal(await client.ended(1), 'headers.');
    const { headers: fields } = await ask(dial(t, rig.port));
    assert.equal(fields['grpc-status'], '12');
    assert.equal(fields['content-length'], undefined);
  });

  for (const [what, status, method] of [
    ['204', 204, 'GET'],
    ['205', 205, 'GET'],
    ['304', 304, 'GET'],
    ['HEAD', 200, 'HEAD'],
  ] as const) {
    it(`to ${what} is one frame, whatever was announced`, async (t) => {
      const stub = new Stub((request) => {
        request.begin(status, [['ETag', '"a"']], { kind: 'length', bytes: 5 }).end([]);
      });
      const rig = await startHttp2(t, stub.serve);
      const client = new FrameClient(t, rig.port);
      client.send(headers(1, [[':method', method], ...get().slice(1)]));
      assert.equal(await client.ended(1), 'headers.');
      const { headers: fields } = await ask(dial(t, rig.port), { ':method': method });
      assert.equal(fields[':status'], status);
      assert.equal(fields.etag, '"a"');
      const isBare = status === 204 || status === 205;
      assert.equal(fields['content-length'], isBare ? undefined : '5');
    });
  }

  it('of a known length ends with its last byte', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get('/abc')));
    assert.equal(await client.ended(1), 'headers data.');
    assert.equal(client.body(1).toString(), '/abc');
  });

  it('of a known length has trailers behind it for a client that takes them', async (t) => {
    const stub = new Stub((request) => {
      const bytes = request.head.target.length - 1;
      const response = request.begin(200, [], { kind: 'length', bytes });
      if (bytes > 0) response.data(Buffer.from(request.head.target.slice(1)));
      response.end([['Grpc-Status', '0']]);
    });
    const rig = await startHttp2(t, stub.serve);
    for (const body of ['', 'abc']) {
      const { headers, trailers, ...answer } = await ask(dial(t, rig.port), {
        ':path': `/${body}`,
        te: 'trailers',
      });
      assert.equal(headers['content-length'], String(body.length));
      assert.equal(answer.body.toString(), body);
      assert.equal(trailers?.['grpc-status'], '0');
    }
  });

  it('of the peer itself ends for a client that takes trailers', async (t) => {
    const rig = await startHttp2(t, () => undefined);
    const session = dial(t, rig.port);
    for (const [status, headers] of [
      [503, {}],
      [503, { ':method': 'HEAD' }],
      [501, { ':method': 'TRACE' }],
      [200, { ':method': 'OPTIONS', 'max-forwards': '0' }],
    ] as const) {
      const answer = await ask(session, { ...headers, te: 'trailers' });
      assert.equal(answer.headers[':status'], status);
    }
  });

  it('with trailers and no data is two HEADERS', async (t) => {
    const stub = new Stub((request) => {
      request.begin().end([
        ['Grpc-Status', '0'],
        ['X-Twice', 'a'],
        ['x-twice', 'b'],
      ]);
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()));
    assert.equal(await client.ended(1), 'headers headers.');
    const { trailers } = await ask(dial(t, rig.port));
    assert.equal(trailers?.['grpc-status'], '0');
    assert.equal(trailers['x-twice'], 'a, b');
  });

  it('brings 1xx, data and trailers in order', async (t) => {
    const stub = new Stub((request) => {
      request.begin(
        103,
        [
          ['Link', '</a>'],
          ['Link', '</b>'],
        ],
        { kind: 'none' },
      );
      const response = request.begin(200, [
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
      ]);
      response.data(Buffer.from('one '));
      response.data(Buffer.from('two'));
      response.end([['X-Sum', '7']]);
    });
    const rig = await startHttp2(t, stub.serve);
    const stream = dial(t, rig.port).request();
    const early = once(stream, 'headers') as Promise<[Record<string, string>]>;
    const answer = await answerOf(stream);
    const [hints] = await early;
    assert.equal(Number(hints[':status']), 103);
    assert.equal(hints['link'], '</a>, </b>');
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(answer.body.toString(), 'one two');
    assert.equal(answer.trailers?.['x-sum'], '7');
  });

  it('passes on bytes of a header that are not ASCII', async (t) => {
    const stub = new Stub((request) => {
      request.answer('', [['X-Name', request.head.headers.get('x-name') ?? '']]);
    });
    const rig = await startHttp2(t, stub.serve);
    const { headers: fields } = await ask(dial(t, rig.port), { 'x-name': 'caf\xe9' });
    assert.equal(fields['x-name'], 'caf\xe9');
    assert.equal(stub.requests[0]!.head.headers.get('x-name'), 'caf\xe9');
  });

  it('breaks when its instance breaks it off, or sends too much or too little', async (t) => {
    const endings: ((request: Served) => void)[] = [
      (request) => {
        request.begin().data(Buffer.from('half'));
        setImmediate(() => {
          request.response.reset('broken');
        });
      },
      (request) => {
        request.begin(200, [], { kind: 'length', bytes: 2 }).data(Buffer.from('abc'));
      },
      (request) => {
        request.begin(200, [], { kind: 'length', bytes: 4 }).data(Buffer.from('abc'));
        request.response.end([]);
      },
    ];
    const stub = new Stub((request) => {
      endings[Number(request.head.target.slice(1))]!(request);
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    for (const at of endings.keys()) {
      const stream = 2 * at + 1;
      client.send(headers(stream, get(`/${at}`)));
      assert.match(await client.ended(stream), /reset$/);
      assert.equal(codeOf(await client.first('reset', stream)), errorCodes.internal);
    }
    assert.equal(rig.counters.get('http2_resets', 'broken'), 3);
  });

  it('is 502 where it cannot be written, or changes the protocol', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.target === '/101') request.begin(101, [], { kind: 'tunnel' });
      else request.begin(999);
    });
    const rig = await startHttp2(t, stub.serve);
    const session = dial(t, rig.port);
    for (const path of ['/101', '/999']) {
      assert.equal((await ask(session, { ':path': path })).headers[':status'], 502);
    }
    assert.equal(rig.counters.get('http_errors', '502'), 2);
    assert.equal(rig.counters.get('http_defects', 'stream'), 0);
  });

  it('is 502 or 503 of the peer itself when there is nobody', async (t) => {
    const rig = await startHttp2(t, await closedPort());
    const { headers: fields, body } = await ask(dial(t, rig.port), { ':method': 'POST' }, 'x');
    assert.equal(fields[':status'], 502);
    assert.equal(body.toString(), '502 Bad Gateway\n');
  });
});

describe('flow of an HTTP/2 stream', () => {
  it('holds the client back while the instance does, and other streams go on', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.method === 'POST') request.response.pause();
      else request.answer();
    });
    const rig = await startHttp2(t, stub.serve);
    const session = dial(t, rig.port);
    const sent = Buffer.alloc(4_194_304, 'a');
    const stream = session.request({ ':method': 'POST' });
    stream.end(sent);
    const request = await served(stub);
    // Window by window: what this client could send before it was held back is all there is.
    for (let at = 0; at < 20; at++) await ask(session, { ':path': `/${at}` });
    assert.ok(request.bodyBytes <= 65_535, `${request.bodyBytes}`);
    assert.ok(rig.listener.bufferedBytes <= 65_535);
    request.response.resume();
    await until(() => request.trailers !== undefined);
    assert.equal(request.bodyBytes, sent.length);
    request.answer();
    await answerOf(stream);
  });

  it('holds the instance back while the client takes nothing', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const stream = dial(t, rig.port).request();
    stream.pause();
    const request = await served(stub);
    const response = request.begin();
    const chunk = Buffer.alloc(16_384, 'a');
    let sent = 0;
    while (!request.isPaused) {
      response.data(chunk);
      sent += chunk.length;
      if (sent % 65_536 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(sent < 1_048_576, `${sent}`);
    assert.ok(rig.listener.bufferedBytes > 0);
    const answer = answerOf(stream);
    stream.resume();
    await until(() => !request.isPaused);
    response.end([]);
    assert.equal((await answer).body.length, sent);
    assert.equal(rig.listener.bufferedBytes, 0);
  });

  it('tells an instance that filled the client while it was asked', async (t) => {
    const stub = new Stub((request) => {
      request.begin().data(Buffer.alloc(1_048_576));
    });
    const rig = await startHttp2(t, stub.serve);
    const stream = dial(t, rig.port).request();
    stream.pause();
    const request = await served(stub);
    await until(() => request.pauses > 0);
    const answer = answerOf(stream);
    stream.resume();
    await until(() => !request.isPaused);
    request.response.end([]);
    assert.equal((await answer).body.length, 1_048_576);
  });

  it('gives an early answer, drops some of the rest and then asks for no more', async (t) => {
    const stub = new Stub((request) => {
      request.answer('no');
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, post(), 0));
    assert.equal(await client.ended(1), 'headers data.');
    const most = httpLimits.drainedBytesMax;
    // Only as much as the windows allow.
    let allowed = 65_535;
    let sent = 0;
    for (let seen = 0; sent <= most && !client.shape(1).endsWith('reset');) {
      const bytes = Math.min(16_384, allowed - sent);
      client.send(data(1, Buffer.alloc(bytes)));
      sent += bytes;
      await client.ping(`${sent}`);
      const updates = client.frames.filter(
        (one) => one.type === 'windowUpdate' && one.stream === 1,
      );
      for (; seen < updates.length; seen++) allowed += codeOf(updates[seen]!);
    }
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.none);
    assert.ok(sent > most);
    assert.equal(stub.requests[0]!.bodyBytes, 0);
    assert.equal(rig.counters.get('http2_resets', 'unread'), 1);
  });

  it('asks for no more when its early answer has ended, not before', async (t) => {
    const stub = new Stub((request) => {
      const response = request.begin(403);
      response.data(Buffer.from('no'));
      response.end([]);
    });
    const rig = await startHttp2(t, stub.serve, { timeouts: { ...quick, bodyMs: 100 } });
    const client = new FrameClient(t, rig.port, settings([initialWindowSize, 0]));
    client.send(headers(1, post(), 0));
    await client.first('headers', 1);
    client.send(windowUpdate(1, 3));
    assert.equal(await client.ended(1), 'headers data data.');
    await client.until(() => client.shape(1).endsWith('reset'));
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.none);
  });

  it('takes the rest of a small body behind an early answer without a word', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, post(), 0));
    await client.ended(1);
    client.send(data(1, 'rest', endStream), headers(3, get()));
    await client.ended(3);
    assert.equal(client.shape(1), 'headers data.');
  });

  it('ends an exchange whose client resets it, before and within its response', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.target === '/b') request.begin().data(Buffer.from('half'));
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get('/a')), headers(3, get('/b')), headers(5, post(), 0));
    await client.first('data', 3);
    await served(stub, 2);
    client.send(reset(1), reset(3, errorCodes.none), reset(5));
    await until(() => stub.requests.every((request) => request.wasReset === 'cancelled'));
    assert.equal(rig.counters.get('http_aborts', 'client'), 3);
    await client.ping();
    assert.equal(client.isClosed, false);
  });

  it('ends an exchange whose connection closes', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()), headers(3, post(), 0));
    await served(stub, 1);
    client.socket.destroy();
    await until(() => stub.requests.every((request) => request.wasReset === 'cancelled'));
    await until(() => rig.listener.connections === 0);
  });

  it('takes a client that ends its direction as gone', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()));
    const request = await served(stub);
    client.socket.end();
    await client.closed();
    assert.equal(request.wasReset, 'cancelled');
  });
});

describe('times of HTTP/2', () => {
  it('end a body that pauses', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve, { timeouts: { ...quick, bodyMs: 50 } });
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, post(), 0), data(1, 'a'));
    assert.equal(await client.ended(1), 'headers data.');
    assert.equal(client.body(1).toString(), '408 Request Timeout\n');
    assert.equal(stub.requests[0]!.wasReset, 'timeout');
    // The rest of it gets the same time.
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.none);
    assert.equal(rig.counters.get('http_timeouts', 'body'), 2);
  });

  it('let the messages of a call of gRPC take what a tunnel may', async (t) => {
    const stub = new Stub();
    const timeouts = { ...quick, bodyMs: 50, tunnelIdleMs: 400 };
    const rig = await startHttp2(t, stub.serve, { timeouts });
    const client = new FrameClient(t, rig.port);
    const call = post(['content-type', 'application/grpc+proto']);
    client.send(headers(1, call, 0), data(1, 'a'), headers(3, post(), 0), data(3, 'a'));
    assert.equal(await client.ended(3), 'headers data.');
    assert.equal(stub.requests[0]!.wasReset, undefined);
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.cancel);
    assert.equal(rig.counters.get('http_timeouts', 'tunnel'), 1);
  });

  it('end a response that does not come, or an exchange that takes too long', async (t) => {
    for (const [timeouts, reason] of [
      [{ responseMs: 50 }, 'response'],
      [{ requestMs: 50 }, 'request'],
    ] as const) {
      const stub = new Stub();
      const rig = await startHttp2(t, stub.serve, { timeouts: { ...quick, ...timeouts } });
      const { headers: fields } = await ask(dial(t, rig.port));
      assert.equal(fields[':status'], 504);
      assert.equal(rig.counters.get('http_timeouts', reason), 1);
      assert.equal(stub.requests[0]!.wasReset, 'timeout');
    }
  });

  it('end a connection without requests', async (t) => {
    const rig = await startHttp2(t, answering().serve, { timeouts: { ...quick, idleMs: 50 } });
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()));
    await client.ended(1);
    await client.closed();
    assert.equal(codeOf(await client.first('goaway')), errorCodes.none);
    assert.equal(rig.counters.get('http_timeouts', 'idle'), 1);
    await until(() => rig.listener.connections === 0);
  });
});

describe('the end of an HTTP/2 connection', () => {
  it('comes behind the last running answer when the peer drains', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve, { timeouts: quick });
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()), headers(3, get()));
    await served(stub, 1);
    rig.listener.drain();
    stub.requests[0]!.answer('1');
    await client.ended(1);
    client.send(headers(5, get()));
    await served(stub, 2);
    stub.requests[1]!.answer('2');
    stub.requests[2]!.answer('3');
    const goaway = await client.first('goaway');
    assert.equal(goaway.payload.readUInt32BE(0), 5);
    assert.equal(codeOf(goaway), errorCodes.none);
    await client.closed();
    assert.equal(client.body(3).toString() + client.body(5).toString(), '23');
  });

  it('comes at last where there is always a request', async (t) => {
    const stub = new Stub();
    let nowMs = 0;
    const rig = await startHttp2(t, stub.serve, {
      openHttp2: (socket, remote, context) =>
        openHttp2(
          socket,
          remote,
          Object.create(context, { nowMs: { get: () => nowMs } }) as ListenerContext,
        ),
      timeouts: quick,
    });
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()));
    const request = await served(stub);
    rig.listener.drain();
    await client.ping();
    assert.ok(client.frames.every((one) => one.type !== 'goaway'));
    nowMs = http2Limits.drainMs;
    await client.first('goaway');
    request.answer('last');
    await client.closed();
    assert.equal(client.body(1).toString(), 'last');
  });

  it('comes behind the first answer for a client that connects to a draining peer', async (t) => {
    const rig = await startHttp2(t, answering().serve, { timeouts: quick });
    rig.listener.drain();
    const client = new FrameClient(t, rig.port);
    await client.ping();
    assert.ok(client.frames.every((one) => one.type !== 'goaway'));
    client.send(headers(1, get()));
    assert.equal(await client.ended(1), 'headers data.');
    await client.closed();
    await client.first('goaway');
  });

  it('waits for running exchanges when the listener stops', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const session = dial(t, rig.port);
    const idle = dial(t, rig.port);
    await once(idle, 'remoteSettings');
    const answer = ask(session);
    const request = await served(stub);
    const stopped = rig.listener.stop(60_000);
    await once(idle, 'close');
    request.answer('last');
    assert.equal((await answer).body.toString(), 'last');
    await stopped;
    assert.equal(rig.listener.connections, 0);
  });

  it('does not wait longer than it is told', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const stream = dial(t, rig.port).request();
    stream.on('error', () => undefined);
    const request = await served(stub);
    await rig.listener.stop(10);
    assert.equal(request.wasReset, 'cancelled');
    assert.equal(rig.listener.connections, 0);
  });
});

describe('a defect of the peer', () => {
  it('costs one stream, not its connection', async (t) => {
    const stub = answering();
    const rig = await startHttp2(t, stub.serve, {
      serve: (instance, head, envelope, response) => {
        if (head.target === '/bad') throw new Error('planted');
        return stub.serve(instance, head, envelope, response);
      },
    });
    const session = dial(t, rig.port);
    const [bad, good] = await Promise.all(
      ['/bad', '/good'].map((path) => ask(session, { ':path': path })),
    );
    assert.equal(bad?.headers[':status'], 500);
    assert.equal(good?.headers[':status'], 200);
    assert.equal(rig.counters.get('http_defects', 'stream'), 1);
    assert.ok(rig.log.some((line) => line.includes('HTTP request failed')));
  });

  it('breaks a response that has begun', async (t) => {
    const stub = new Stub();
    const rig = await startHttp2(t, stub.serve);
    const stream = dial(t, rig.port).request({ ':method': 'POST' });
    stream.on('error', () => undefined);
    const request = await served(stub);
    request.begin();
    await once(stream, 'response');
    request.data = () => {
      throw new Error('planted');
    };
    stream.write('x');
    await new Promise((resolve) => stream.on('close', resolve));
    assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
    assert.equal(rig.counters.get('http_defects', 'stream'), 1);
  });
});
