import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Rules } from '../../../src/dcr/index.ts';
import {
  HeaderBlock,
  type RequestReceiver,
  type ResetCode,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import type { ServeHttp } from '../../../src/io/http/index.ts';
import { closedPort, exchange, RawClient, startOrigin, startRig } from './http-rig.ts';

const nothing: RequestReceiver = {
  data: () => undefined,
  end: () => undefined,
  reset: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

/** An instance that answers at once with its name. */
function answering(...headers: (readonly [string, string])[]): ServeHttp {
  return (name, request, _, response) => {
    const body = Buffer.from(`${name} ${request.method} ${request.target}\n`);
    response.head({
      status: 200,
      reason: 'OK',
      headers: HeaderBlock.of(headers),
      framing: { kind: 'length', bytes: body.length },
    });
    if (request.method !== 'HEAD') response.data(body);
    response.end([]);
    return nothing;
  };
}

const silent: ServeHttp = () => nothing;
const close = 'Connection: close\r\n';

describe('one client connection', () => {
  it('is kept and answers pipelined requests in their order', async (t) => {
    const late: ResponseReceiver[] = [];
    const answer = (response: ResponseReceiver, text: string): void => {
      response.head({
        status: 200,
        reason: 'OK',
        headers: HeaderBlock.empty,
        framing: { kind: 'length', bytes: text.length },
      });
      response.data(Buffer.from(text));
      response.end([]);
    };
    const rig = await startRig(t, {
      instances: {
        p1: (_, request, __, response) => {
          // The first waits, the others would be ready at once.
          if (request.target === '/0') late.push(response);
          else answer(response, `<${request.target}>`);
          return nothing;
        },
      },
    });
    const client = new RawClient(t, rig.port);
    const targets = Array.from({ length: 50 }, (_, at) => `/${at}`);
    client.send(targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    while (late.length === 0) await new Promise(setImmediate);
    setImmediate(() => {
      answer(late[0]!, '</0>');
    });
    const text = await client.until(/<\/49>/);
    assert.deepEqual(
      text.match(/<\/\d+>/g),
      targets.map((target) => `<${target}>`),
    );
    assert.equal(rig.listener.connections, 1);
    assert.equal(rig.counters.get('http_requests', 'received'), 50);
  });

  it('takes a request byte by byte', async (t) => {
    const rig = await startRig(t, { instances: { p1: answering() } });
    const client = new RawClient(t, rig.port);
    for (const byte of `GET /a HTTP/1.1\r\nHost: a\r\n${close}\r\n`) client.send(byte);
    assert.match(await client.end(), /\r\n\r\np1 GET \/a\n$/);
  });

  it('answers HEAD with the length and no body, and goes on', async (t) => {
    const rig = await startRig(t, { instances: { p1: answering() } });
    const raw = `HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n${close}\r\n`;
    const text = await exchange(t, rig.port, raw);
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK\r\nContent-Length: 11\r\nDate: [^\r]+\r\n\r\nHTTP\/1\.1 200/,
    );
    assert.match(text, /p1 GET \/b\n$/);
  });

  it('closes behind an HTTP/1.0 request unless it asks to be kept', async (t) => {
    const rig = await startRig(t, { instances: { p1: answering() } });
    const text = await exchange(t, rig.port, 'GET /a HTTP/1.0\r\n\r\n');
    assert.match(text, /Connection: close\r\n\r\np1 GET \/a\n$/);
    const client = new RawClient(t, rig.port);
    client.send('GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.match(await client.until(/\/a\n$/), /Connection: keep-alive\r\n/);
    client.send('GET /b HTTP/1.0\r\n\r\n');
    assert.match(await client.end(), /\/b\n$/);
  });

  it('gives HTTP/1.0 a body without chunks and without 1xx', async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.head({
            status: 103,
            reason: 'Early Hints',
            headers: HeaderBlock.empty,
            framing: { kind: 'none' },
          });
          response.head({
            status: 200,
            reason: 'OK',
            headers: HeaderBlock.empty,
            framing: { kind: 'chunked' },
          });
          response.data(Buffer.from('abc'));
          response.end([]);
          return nothing;
        },
      },
    });
    const old = await exchange(t, rig.port, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    assert.match(old, /^HTTP\/1\.1 200 OK\r\nDate: [^\r]+\r\nConnection: close\r\n\r\nabc$/);
    const now = await exchange(t, rig.port, `GET / HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
    assert.match(now, /^HTTP\/1\.1 103 Early Hints\r\n\r\nHTTP\/1\.1 200 OK\r\nTransfer-Enc/);
    assert.match(now, /\r\n\r\n3\r\nabc\r\n0\r\n\r\n$/);
  });

  it('is refused above the limit of connections', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: answering() },
      listener: { connectionsMax: 1 },
    });
    const first = new RawClient(t, rig.port);
    first.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
    await first.until(/\/a\n$/);
    assert.equal(await new RawClient(t, rig.port).end(), '');
    assert.equal(rig.counters.get('http_connections', 'refused'), 1);
  });
});

describe('pipelining', () => {
  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
  };

  it('serves no more than a client takes', async (t) => {
    const body = Buffer.alloc(65_536, 'x');
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.head({
            status: 200,
            reason: 'OK',
            headers: HeaderBlock.empty,
            framing: { kind: 'length', bytes: body.length },
          });
          response.data(body);
          response.end([]);
          return nothing;
        },
      },
    });
    const client = new RawClient(t, rig.port);
    client.socket.pause();
    const last = `GET / HTTP/1.1\r\nHost: a\r\n${close}\r\n`;
    client.send(`${'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(299)}${last}`);
    while (rig.listener.bufferedBytes === 0) await turns(1);
    await turns(100);
    assert.ok(rig.listener.bufferedBytes < 262_144, `${rig.listener.bufferedBytes} bytes held`);
    assert.ok(rig.counters.get('http_requests', 'received') < 300);
    client.socket.resume();
    assert.equal((await client.end()).match(/HTTP\/1\.1 200 OK/g)?.length, 300);
  });

  it('reads no more than a little ahead', async (t) => {
    const rig = await startRig(t, { instances: { p1: silent } });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1_000_000));
    while (rig.listener.bufferedBytes < 65_536) await turns(1);
    await turns(200);
    assert.ok(rig.listener.bufferedBytes < 262_144, `${rig.listener.bufferedBytes} bytes held`);
    assert.equal(rig.counters.get('http_requests', 'received'), 1);
  });
});

describe('what is no request', () => {
  const rows: readonly (readonly [raw: string, status: number])[] = [
    ['GET / HTTP/1.1\r\n\r\n', 400],
    ['GARBAGE\r\n\r\n', 400],
    [`GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(66_000)}\r\n\r\n`, 431],
    ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
    ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n', 413],
    ['POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n', 417],
    [
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n',
      400,
    ],
  ];
  for (const [raw, status] of rows) {
    it(`${JSON.stringify(raw.slice(0, 60))} gets ${status}, is closed and reaches nobody`, async (t) => {
      let asked = 0;
      const rig = await startRig(t, {
        instances: {
          p1: () => {
            asked++;
            return nothing;
          },
        },
      });
      const text = await exchange(t, rig.port, raw);
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} [^\\r]+\\r\\n`));
      assert.match(text, /Connection: close\r\n\r\n\d{3} [A-Za-z ]+\n$/);
      assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
      assert.equal(asked, 0);
      assert.equal(rig.counters.get('http_errors', String(status)), 1);
    });
  }

  it('a chunk that cannot be read ends the request it belongs to', async (t) => {
    const resets: ResetCode[] = [];
    const rig = await startRig(t, {
      instances: { p1: () => ({ ...nothing, reset: (code) => resets.push(code) }) },
    });
    const raw = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n';
    assert.match(await exchange(t, rig.port, raw), /^HTTP\/1\.1 400 /);
    assert.deepEqual(resets, ['cancelled']);
    assert.equal(rig.counters.get('http_faults', 'HTTP_CHUNK_INVALID'), 1);
  });
});

describe('clients that take their time', () => {
  const timeouts = { sweepIntervalMs: 5, headMs: 40, bodyMs: 40, idleMs: 40, responseMs: 40 };

  it('get 408 for half a head', async (t) => {
    const rig = await startRig(t, { instances: { p1: answering() }, listener: { timeouts } });
    const text = await exchange(t, rig.port, 'GET / HTTP/1.1\r\nHost:');
    assert.match(text, /^HTTP\/1\.1 408 Request Timeout\r\n/);
    assert.equal(rig.counters.get('http_timeouts', 'head'), 1);
  });

  it('get 408 for half a body, and the instance is told', async (t) => {
    const resets: ResetCode[] = [];
    const rig = await startRig(t, {
      instances: { p1: () => ({ ...nothing, reset: (code) => resets.push(code) }) },
      listener: { timeouts },
    });
    const raw = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab';
    assert.match(await exchange(t, rig.port, raw), /^HTTP\/1\.1 408 /);
    assert.deepEqual(resets, ['timeout']);
  });

  it(
    'are closed when the rest of a body never comes behind its early answer',
    { timeout: 10_000 },
    async (t) => {
      const rig = await startRig(t, { instances: { p1: answering() }, listener: { timeouts } });
      const client = new RawClient(t, rig.port);
      client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
      assert.match(await client.end(), /^HTTP\/1\.1 200 OK\r\n[^]+p1 POST \/\n$/);
      assert.equal(rig.counters.get('http_timeouts', 'body'), 1);
    },
  );

  it(
    'get the whole of a last response, however late they read it',
    { timeout: 10_000 },
    async (t) => {
      const bytes = 16_777_216;
      const rig = await startRig(t, {
        instances: {
          p1: (_, __, ___, response) => {
            response.head({
              status: 200,
              reason: 'OK',
              headers: HeaderBlock.empty,
              framing: { kind: 'length', bytes },
            });
            response.data(Buffer.alloc(bytes, 'x'));
            response.end([]);
            return nothing;
          },
        },
        listener: { timeouts: { ...timeouts, idleMs: 120, lingerMs: 20, writeMs: 10_000 } },
      });
      const client = new RawClient(t, rig.port);
      client.socket.pause();
      client.send(`GET / HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
      while (rig.counters.get('http_requests', 'received') === 0) await new Promise(setImmediate);
      // Its idle time is longer than the time that a closed direction gets.
      await new RawClient(t, rig.port).end();
      client.socket.resume();
      const text = await client.end();
      assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, bytes);
    },
  );

  it('are closed without a word when they ask nothing', async (t) => {
    const rig = await startRig(t, { instances: { p1: answering() }, listener: { timeouts } });
    assert.equal(await exchange(t, rig.port, ''), '');
    assert.equal(rig.counters.get('http_timeouts', 'idle'), 1);
  });

  it('are not blamed when it is the instance that is silent: 504', async (t) => {
    const resets: ResetCode[] = [];
    const rig = await startRig(t, {
      instances: { p1: () => ({ ...nothing, reset: (code) => resets.push(code) }) },
      listener: { timeouts },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(await client.until(/504 Gateway Timeout\n$/), /^HTTP\/1\.1 504 /);
    assert.deepEqual(resets, ['timeout']);
  });

  it('are cut when they take no bytes of their response', async (t) => {
    const gone = Promise.withResolvers<ResetCode>();
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.head({
            status: 200,
            reason: 'OK',
            headers: HeaderBlock.empty,
            framing: { kind: 'chunked' },
          });
          for (let at = 0; at < 400; at++) response.data(Buffer.alloc(65_536));
          return { ...nothing, reset: gone.resolve };
        },
      },
      listener: { timeouts: { ...timeouts, writeMs: 40 } },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    client.socket.pause();
    assert.equal(await gone.promise, 'cancelled');
    assert.equal(rig.counters.get('http_timeouts', 'write'), 1);
  });
});

describe('which instance serves', () => {
  it('the next one, when nothing could be sent to the first', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: () => undefined, p2: answering(), p3: answering() },
    });
    const text = await exchange(t, rig.port, `GET /a HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
    assert.match(text, /p2 GET \/a\n$/);
    assert.equal(rig.counters.get('http_retries', 'refused'), 1);
  });

  it('the next one gets the body too, when the first refuses after some of it', async (t) => {
    const bodies: string[] = [];
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => ({
          ...nothing,
          data: () => {
            response.reset('refused');
          },
        }),
        p2: (_, __, ___, response) => ({
          ...nothing,
          data: (chunk) => bodies.push(Buffer.from(chunk).toString()),
          end: () => {
            response.head({
              status: 204,
              reason: 'No Content',
              headers: HeaderBlock.empty,
              framing: { kind: 'none' },
            });
            response.end([]);
          },
        }),
      },
    });
    const client = new RawClient(t, rig.port);
    client.send(`POST /a HTTP/1.1\r\nHost: a\r\n${close}Content-Length: 6\r\n\r\nabc`);
    while (bodies.length === 0) await new Promise(setImmediate);
    client.send('def');
    assert.match(await client.end(), /^HTTP\/1\.1 204 No Content\r\nDate/);
    assert.equal(bodies.join(''), 'abcdef');
  });

  it('none, when too much of the body has gone: 502', async (t) => {
    let sent = 0;
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => ({
          ...nothing,
          data: (chunk) => {
            sent += chunk.length;
            if (sent > 100_000) response.reset('refused');
          },
        }),
        p2: answering(),
      },
    });
    const client = new RawClient(t, rig.port);
    client.send(
      `POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(150_000)}`,
    );
    assert.match(await client.end(), /^HTTP\/1\.1 502 Bad Gateway\r\n/);
  });

  it('none, when all refuse: 502; none, when there is no way to any: 503 with Retry-After', async (t) => {
    const refusing: ServeHttp = (_, __, ___, response) => {
      response.reset('refused');
      return nothing;
    };
    const refused = await startRig(t, { instances: { p1: refusing, p2: refusing } });
    const raw = `GET / HTTP/1.1\r\nHost: a\r\n${close}\r\n`;
    assert.match(await exchange(t, refused.port, raw), /^HTTP\/1\.1 502 /);
    const cut = await startRig(t, { instances: { p1: () => undefined } });
    assert.match(await exchange(t, cut.port, raw), /^HTTP\/1\.1 503 [^]+\r\nRetry-After: 2\r\n/);
    const empty = await startRig(t, { instances: {} });
    assert.match(await exchange(t, empty.port, raw), /^HTTP\/1\.1 503 [^]+\r\nRetry-After: 2\r\n/);
  });

  it('nobody else once the first has begun to answer', async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.head({
            status: 100,
            reason: 'Continue',
            headers: HeaderBlock.empty,
            framing: { kind: 'none' },
          });
          response.reset('refused');
          return nothing;
        },
        p2: answering(),
      },
    });
    const text = await exchange(t, rig.port, `GET / HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
    assert.match(text, /HTTP\/1\.1 502 /);
  });

  it('is told that nobody wants the rest of the body behind its early answer', async (t) => {
    const reset = Promise.withResolvers<ResetCode>();
    const rig = await startRig(t, {
      instances: {
        p1: (name, request, envelope, response) => {
          setImmediate(() => answering()(name, request, envelope, response));
          return { ...nothing, reset: reset.resolve };
        },
      },
    });
    const client = new RawClient(t, rig.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc');
    assert.equal(await reset.promise, 'cancelled');
    await client.until(/p1 POST \/\n$/);
  });

  const codes: readonly (readonly [ResetCode, number])[] = [
    ['broken', 502],
    ['timeout', 504],
    ['limit', 503],
    ['cancelled', 502],
  ];
  for (const [code, status] of codes) {
    it(`nobody else after '${code}': ${status}`, async (t) => {
      const rig = await startRig(t, {
        instances: {
          p1: (_, __, ___, response) => {
            setImmediate(() => {
              response.reset(code);
            });
            return nothing;
          },
          p2: answering(),
        },
      });
      const text = await exchange(t, rig.port, `POST / HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(rig.counters.get('http_resets', code), 1);
    });
  }

  it('a response that breaks off breaks the connection', async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.head({
            status: 200,
            reason: 'OK',
            headers: HeaderBlock.empty,
            framing: { kind: 'length', bytes: 9 },
          });
          response.data(Buffer.from('abc'));
          setImmediate(() => {
            response.reset('broken');
          });
          return nothing;
        },
      },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.end();
    assert.equal(client.hasError, true, 'reset, not ended');
  });

  it('a client that goes away takes its request with it', async (t) => {
    const reset = Promise.withResolvers<ResetCode>();
    const asked = Promise.withResolvers<undefined>();
    const rig = await startRig(t, {
      instances: {
        p1: () => {
          asked.resolve(undefined);
          return { ...nothing, reset: reset.resolve };
        },
      },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked.promise;
    client.socket.destroy();
    assert.equal(await reset.promise, 'cancelled');
    assert.equal(rig.counters.get('http_aborts', 'client'), 1);
  });
});

describe('keys that wait for a number', () => {
  const rulesOf = (answers: { known: boolean }): Rules => ({
    kind: 'rule',
    sipKey: () => null,
    httpKey: () => (answers.known ? 'room' : { number: '+49' }),
  });
  const routing = { contextRoots: [{ path: '/', kind: 'converged' }] } as const;
  const raw = `POST /a HTTP/1.1\r\nHost: a\r\n${close}Content-Length: 3\r\n\r\nabc`;

  it('hold the request until it is known', async (t) => {
    const answers = { known: false };
    const asked: string[] = [];
    const rig = await startRig(t, {
      instances: { p1: answering() },
      rules: rulesOf(answers),
      routing,
      listener: {
        whenNumberKnown: async (number) => {
          asked.push(number);
          await new Promise(setImmediate);
          answers.known = true;
        },
      },
    });
    assert.match(await exchange(t, rig.port, raw), /p1 POST \/a\n$/);
    assert.deepEqual(asked, ['+49']);
    assert.equal(rig.counters.get('http_routed', 'rule'), 1);
  });

  it('give up when it never is', async (t) => {
    let rounds = 0;
    const rig = await startRig(t, {
      instances: { p1: answering() },
      rules: rulesOf({ known: false }),
      routing,
      listener: {
        whenNumberKnown: () => {
          rounds++;
          return Promise.reject(new Error('no resolver'));
        },
      },
    });
    assert.match(await exchange(t, rig.port, raw), /^HTTP\/1\.1 503 /);
    assert.equal(rounds, 4);
  });
});

describe('faults of an application and of ours', () => {
  const heads: readonly (readonly [string, Parameters<ResponseReceiver['head']>[0]])[] = [
    [
      'a line feed in its reason',
      { status: 200, reason: 'a\nb', headers: HeaderBlock.empty, framing: { kind: 'none' } },
    ],
    [
      'a character that would become one',
      { status: 200, reason: '\u010a', headers: HeaderBlock.empty, framing: { kind: 'none' } },
    ],
    [
      'an upgrade nobody asked for',
      { status: 101, reason: 'X', headers: HeaderBlock.empty, framing: { kind: 'none' } },
    ],
  ];
  for (const [why, head] of heads) {
    it(`${why} in a head answers 502`, async (t) => {
      const rig = await startRig(t, {
        instances: {
          p1: (_, __, ___, response) => {
            response.head(head);
            return nothing;
          },
        },
      });
      const text = await exchange(t, rig.port, `GET / HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
      assert.match(text, /^HTTP\/1\.1 502 Bad Gateway\r\n/);
      assert.doesNotMatch(text, /Evil/);
    });
  }

  it('more body than announced breaks the connection, less too', async (t) => {
    for (const size of [2, 4]) {
      const rig = await startRig(t, {
        instances: {
          p1: (_, __, ___, response) => {
            response.head({
              status: 200,
              reason: 'OK',
              headers: HeaderBlock.empty,
              framing: { kind: 'length', bytes: 3 },
            });
            response.data(Buffer.alloc(size, 'x'));
            response.end([]);
            return nothing;
          },
        },
      });
      const client = new RawClient(t, rig.port);
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.end();
      assert.equal(client.hasError, true, `${size} of 3`);
    }
  });

  it('a defect answers 500 without its stack, and the peer goes on', async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: (_, request, __, response) => {
          if (request.target === '/bad') throw new Error('secret inside');
          return answering()('p1', request, {} as never, response);
        },
      },
    });
    const text = await exchange(t, rig.port, 'GET /bad HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 500 [^]+\r\n\r\n500 Internal Server Error\n$/);
    assert.doesNotMatch(text, /secret/);
    assert.equal(rig.counters.get('http_defects', 'connection'), 1);
    const next = await exchange(t, rig.port, `GET /a HTTP/1.1\r\nHost: a\r\n${close}\r\n`);
    assert.match(next, /p1 GET \/a\n$/);
  });
});

describe('stopping', () => {
  it('closes idle connections, ends running exchanges with Connection: close', async (t) => {
    const running = Promise.withResolvers<ResponseReceiver>();
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          running.resolve(response);
          return nothing;
        },
      },
    });
    const idle = new RawClient(t, rig.port);
    const busy = new RawClient(t, rig.port);
    busy.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const response = await running.promise;
    const stopped = rig.listener.stop(60_000);
    assert.equal(await idle.end(), '');
    response.head({
      status: 200,
      reason: 'OK',
      headers: HeaderBlock.empty,
      framing: { kind: 'none' },
    });
    response.end([]);
    assert.match(await busy.end(), /Content-Length: 0\r\n[^]*Connection: close\r\n/);
    await stopped;
    assert.equal(rig.listener.connections, 0);
  });

  it('cuts what still runs at the deadline', async (t) => {
    const rig = await startRig(t, { instances: { p1: silent } });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    while (rig.counters.get('http_requests', 'received') === 0) await new Promise(setImmediate);
    await rig.listener.stop(1);
    assert.equal(await client.end(), '');
  });

  it('rejects a start on an occupied port', async (t) => {
    const rig = await startRig(t, { instances: { p1: silent } });
    const other = startRig(t, {
      instances: { p1: silent },
      listener: { listen: { address: '127.0.0.1', port: rig.port } },
    });
    await assert.rejects(other, /EADDRINUSE/);
  });
});

describe('a client behind a sprayer', () => {
  it('keeps its session through stamps; a forged one is overlooked and counted', async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: answering(['Set-Cookie', 'sid=1']),
        p2: answering(['Set-Cookie', 'sid=1']),
        p3: answering(['Set-Cookie', 'sid=1']),
      },
    });
    const get = (cookie: string): Promise<string> =>
      exchange(t, rig.port, `GET / HTTP/1.1\r\nHost: a\r\n${close}Cookie: ${cookie}\r\n\r\n`);
    const first = await get('theme=dark');
    const set = [...first.matchAll(/Set-Cookie: ((?:BEKEY|BEROUTE)=[^;]+);/g)];
    assert.equal(set.length, 2);
    const jar = set.map((match) => match[1]).join('; ');
    for (let at = 0; at < 5; at++) assert.match(await get(jar), /p1 GET/);
    const forged = jar.replace(/BEROUTE=p1/, 'BEROUTE=p3').replace(/BEKEY=./, 'BEKEY=');
    assert.match(await get(forged), /p2 GET/);
    assert.equal(rig.counters.get('stamps_invalid', 'beroute'), 1);
    assert.equal(rig.counters.get('stamps_invalid', 'bekey'), 1);
  });

  it('reaches the second instance when the first one is dead', async (t) => {
    const origin = await startOrigin(t, (_, response) => response.end('alive'));
    const rig = await startRig(t, { instances: { p1: await closedPort(), p2: origin } });
    const raw = `PUT / HTTP/1.1\r\nHost: a\r\n${close}Content-Length: 3\r\n\r\nabc`;
    assert.match(await exchange(t, rig.port, raw), /\r\n\r\nalive$/);
    assert.equal(rig.counters.get('http_retries', 'refused'), 1);
  });
});
