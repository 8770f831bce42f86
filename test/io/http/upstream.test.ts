import assert from 'node:assert/strict';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { httpLimits } from '../../../src/config/defaults.ts';
import { HeaderBlock, type RequestHead, type ResponseReceiver } from '../../../src/http/index.ts';
import type { Envelope } from '../../../src/pipeline/envelope.ts';
import {
  closedPort,
  exchange,
  RawClient,
  startOrigin,
  startRawOrigin,
  startRig,
} from './http-rig.ts';

const close = 'Connection: close\r\n';
const get = (target = '/'): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${close}\r\n`;

/** Answers each request head that arrives with the next of these texts. */
function scripted(
  seen: string[],
  ...answers: (string | ((socket: Socket) => void))[]
): (socket: Socket) => void {
  return (socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      let end = text.indexOf('\r\n\r\n');
      while (end >= 0) {
        seen.push(text.slice(0, end + 4));
        text = text.slice(end + 4);
        const answer = answers.shift();
        if (typeof answer === 'string') socket.write(answer, 'latin1');
        else answer?.(socket);
        end = text.indexOf('\r\n\r\n');
      }
    });
  };
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const lookUp: RequestHead = {
  method: 'GET',
  target: '/',
  headers: HeaderBlock.of([['Host', 'a']]),
  framing: { kind: 'none' },
};

const envelope: Envelope = {
  keyDigest: '',
  instance: 'p1',
  reason: 'round-robin',
  ringVersion: '',
  ingressPeer: 'p1',
  hop: 0,
  transaction: '',
};

/** Notes what it is told. */
function recorder(calls: string[]): ResponseReceiver {
  return {
    head: ({ status }) => void calls.push(`head ${status}`),
    data: () => void calls.push('data'),
    end: () => void calls.push('end'),
    reset: (code) => void calls.push(`reset ${code}`),
    pause: () => void calls.push('pause'),
    resume: () => void calls.push('resume'),
  };
}

describe('requests to an upstream server', () => {
  it('go over kept connections, with the marks of peers and nothing of the hop', async (t) => {
    const seen: string[] = [];
    const origin = await startRawOrigin(t, scripted(seen, ok, ok));
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send(
      'GET /a?b HTTP/1.1\r\nHost: shop:81\r\nConnection: TE, X-Hop\r\nUpgrade: websocket\r\n' +
        'X-Hop: 1\r\nproxy-beroute: p9\r\nProxy-BEKEY: evil\r\nX-Forwarded-For: 6.6.6.6\r\n' +
        'Forwarded: for=6.6.6.6\r\nTE: trailers\r\nCookie: foreign=1\r\n\r\n',
    );
    await client.until(/ok$/);
    client.send('POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    await client.until(/ok[^]+ok$/);
    assert.equal(
      seen[0],
      'GET /a?b HTTP/1.1\r\nHost: shop:81\r\nCookie: foreign=1\r\nX-Forwarded-For: 127.0.0.1\r\n' +
        'X-Forwarded-Proto: http\r\nX-Forwarded-Port: 81\r\n' +
        'Forwarded: for=127.0.0.1;proto=http;host="shop:81"\r\nX-Forwarded-Host: shop:81\r\n' +
        'Via: 1.1 sailring\r\nTE: trailers\r\nConnection: TE\r\nproxy-beroute: p1\r\n\r\n',
    );
    assert.match(seen[1]!, /\r\nContent-Length: 0\r\n/);
    assert.equal(rig.counters.get('http_upstream', 'connect'), 1);
  });

  it('continue the forwarding headers of a trusted proxy, and carry the key', async (t) => {
    const seen: string[] = [];
    const origin = await startRawOrigin(t, scripted(seen, ok));
    const rig = await startRig(t, {
      instances: { p1: origin },
      rules: { kind: 'rule', sipKey: () => null, httpKey: () => 'room' },
      routing: { contextRoots: [{ path: '/', kind: 'converged' }] },
      listener: { trustedProxies: ['10.0.0.0/8', '127.0.0.0/8', '::1'] },
    });
    await exchange(
      t,
      rig.port,
      `GET / HTTP/1.1\r\nHost: a\r\n${close}X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n`,
    );
    assert.match(seen[0]!, /X-Forwarded-For: 6\.6\.6\.6, 127\.0\.0\.1\r\n/);
    assert.match(seen[0]!, /X-Forwarded-Proto: https\r\n/);
    assert.match(seen[0]!, /proxy-bekey: [\w-]{22}\r\n/);
  });

  it('stream chunks and trailers both ways', async (t) => {
    const origin = await startOrigin(t, (request, response) => {
      response.writeHead(200, { Trailer: 'X-Sum', 'Transfer-Encoding': 'chunked' });
      request.on('data', (chunk) => response.write(`<${String(chunk)}>`));
      request.on('end', () => {
        response.addTrailers({ 'X-Sum': request.trailers['x-in'] ?? 'none' });
        response.end();
      });
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await client.until(/<abc>/);
    client.send('3;x=y\r\ndef\r\n0\r\nX-In: 6\r\nContent-Length: 1\r\n\r\n');
    assert.match(await client.until(/X-Sum: 6\r\n\r\n$/), /<def>\r\n0\r\n/);
  });

  it('pass 100 to a client that waits for it', async (t) => {
    const origin = await startOrigin(t, (request, response) => {
      request.resume();
      request.on('end', () => response.end('done'));
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
    await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send('abc');
    assert.match(await client.until(/done$/), /HTTP\/1\.1 200 OK/);
  });

  it('pass a refusal instead of 100, and close: the body may come or not', async (t) => {
    const origin = await startOrigin(
      t,
      () => undefined,
      (server) => {
        server.on(
          'checkContinue',
          (_, response: { writeHead(status: number): { end(): void } }) => {
            response.writeHead(413).end();
          },
        );
      },
    );
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
    assert.match(await client.end(), /^HTTP\/1\.1 413 [^]+Connection: close\r\n/);
  });

  it('get an early answer while the body still comes, and the connection goes on', async (t) => {
    const seen: string[] = [];
    const origin = await startRawOrigin(t, scripted(seen, ok, ok));
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc');
    await client.until(/ok$/);
    client.send('defGET /b HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(/ok[^]+ok$/);
    assert.match(seen[1]!, /^GET \/b /);
    assert.equal(rig.counters.get('http_upstream', 'connect'), 2, 'half a request is not reused');
  });

  it('are closed behind an early answer when far more body comes', async (t) => {
    const origin = await startRawOrigin(t, scripted([], ok));
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nabc');
    await client.until(/ok$/);
    client.send('x'.repeat(400_000));
    assert.match(await client.end(), /ok$/);
  });

  it('end at the server when the client goes away', async (t) => {
    const gone = Promise.withResolvers<undefined>();
    const asked = Promise.withResolvers<undefined>();
    const origin = await startOrigin(t, (_, response) => {
      response.on('close', () => {
        gone.resolve(undefined);
      });
      asked.resolve(undefined);
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await asked.promise;
    client.socket.destroy();
    await gone.promise;
    assert.equal(rig.counters.get('http_aborts', 'client'), 1);
  });

  it('work for the client of another author, a hundred at a time', async (t) => {
    const origin = await startOrigin(t, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => response.end(`${request.url}:${Buffer.concat(chunks).length}`));
    });
    const rig = await startRig(t, { instances: { p1: origin, p2: origin } });
    const agent = new Agent({ keepAlive: true, maxSockets: 10 });
    t.after(() => {
      agent.destroy();
    });
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, at) => {
        const sent = httpRequest({ agent, port: rig.port, method: 'POST', path: `/${at}` });
        sent.end(Buffer.alloc(at * 500));
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          sent.on('response', resolve).on('error', reject);
        });
        let text = '';
        for await (const chunk of response) text += String(chunk);
        return text;
      }),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 100 }, (_, at) => `/${at}:${at * 500}`),
    );
    assert.equal(rig.listener.connections, 10);
  });
});

describe('large bodies', () => {
  const megabytes = 64;
  const piece = Buffer.alloc(1_048_576, 'x');

  it('reach a slow reader with little held between', async (t) => {
    const origin = await startOrigin(t, (_, response) => {
      response.writeHead(200, { 'Content-Length': megabytes * piece.length });
      let sent = 0;
      const send = (): void => {
        while (sent < megabytes) {
          sent++;
          if (!response.write(piece)) {
            response.once('drain', send);
            return;
          }
        }
        response.end();
      };
      send();
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest({ port: rig.port, agent: false }, resolve).on('error', reject).end();
    });
    let received = 0;
    let peak = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      received += chunk.length;
      // Let everything else run on while this reader does nothing.
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      peak = Math.max(peak, rig.listener.bufferedBytes);
    }
    assert.equal(received, megabytes * piece.length);
    assert.ok(peak > 0 && peak <= 262_144, `at most ${peak} bytes held`);
  });

  it('reach a slow server with little held between', async (t) => {
    let received = 0;
    let peak = 0;
    const peaks = { look: (): number => 0 };
    const origin = await startOrigin(t, (request, response) => {
      void (async () => {
        for await (const chunk of request as AsyncIterable<Buffer>) {
          received += chunk.length;
          for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
          peak = Math.max(peak, peaks.look());
        }
        response.end('done');
      })();
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    peaks.look = () => rig.upstreams.get('p1')!.bufferedBytes;
    const sent = httpRequest({ port: rig.port, agent: false, method: 'PUT' });
    for (let at = 0; at < megabytes; at++) {
      if (!sent.write(piece)) await new Promise((resolve) => sent.once('drain', resolve));
    }
    sent.end();
    const response = await new Promise<IncomingMessage>((resolve) => sent.on('response', resolve));
    response.resume();
    assert.equal(response.statusCode, 200);
    assert.equal(received, megabytes * piece.length);
    assert.ok(peak > 0 && peak <= 262_144, `at most ${peak} bytes held`);
  });
});

describe('an upstream server that fails', () => {
  it('is dead: 502 in short words', async (t) => {
    const rig = await startRig(t, { instances: { p1: await closedPort() } });
    const text = await exchange(t, rig.port, get());
    assert.match(text, /^HTTP\/1\.1 502 Bad Gateway\r\n[^]+\r\n\r\n502 Bad Gateway\n$/);
    assert.equal(rig.counters.get('http_upstream', 'unreachable'), 1);
    assert.equal(rig.log.filter((line) => line.includes('out of reach')).length, 1);
  });

  it('says nothing: 504', async (t) => {
    const origin = await startRawOrigin(t, (socket) => socket.resume());
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { sweepIntervalMs: 5, timeouts: { responseMs: 30 } },
    });
    assert.match(await exchange(t, rig.port, get()), /^HTTP\/1\.1 504 Gateway Timeout\r\n/);
  });

  it('falls silent in its body: the client sees the break', async (t) => {
    const origin = await startRawOrigin(
      t,
      scripted([], 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'),
    );
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { sweepIntervalMs: 5, timeouts: { bodyMs: 30 } },
    });
    const client = new RawClient(t, rig.port);
    client.send(get());
    await client.end();
    assert.equal(client.hasError, true);
  });

  const broken: readonly (readonly [why: string, answer: string])[] = [
    ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
    [
      'a length and a coding',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok'],
    ['a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
    ['endless headers', `HTTP/1.1 200 OK\r\n${'X: a\r\n'.repeat(200)}\r\n`],
  ];
  for (const [why, answer] of broken) {
    it(`answers with ${why}: 502`, async (t) => {
      const origin = await startRawOrigin(t, scripted([], answer));
      const rig = await startRig(t, { instances: { p1: origin } });
      assert.match(await exchange(t, rig.port, get()), /^HTTP\/1\.1 502 Bad Gateway\r\n/);
    });
  }

  it('breaks off without an answer: 502', async (t) => {
    const origin = await startRawOrigin(
      t,
      scripted([], (socket) => socket.destroy()),
    );
    const rig = await startRig(t, { instances: { p1: origin } });
    assert.match(await exchange(t, rig.port, get()), /^HTTP\/1\.1 502 /);
  });

  it('sends more than was asked: the rest is not taken for the next answer', async (t) => {
    const seen: string[] = [];
    const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
    const origin = await startRawOrigin(t, scripted(seen, `${ok}${evil}`, ok));
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.doesNotMatch(await client.until(/ok[^]+ok$/), /evil/);
    assert.equal(rig.counters.get('http_upstream', 'unasked'), 1);
    assert.equal(seen.length, 2);
  });
});

describe('kept connections that turn out stale', () => {
  const hangUp = (socket: Socket): void => {
    socket.destroy();
  };

  it('cost a GET a second try', async (t) => {
    const seen: string[] = [];
    const origin = await startRawOrigin(t, scripted(seen, ok, hangUp, ok));
    const rig = await startRig(t, { instances: { p1: origin } });
    await exchange(t, rig.port, get('/a'));
    assert.match(await exchange(t, rig.port, get('/b')), /\r\n\r\nok$/);
    assert.deepEqual(
      seen.map((head) => head.split(' ')[1]),
      ['/a', '/b', '/b'],
    );
    assert.equal(rig.counters.get('http_upstream', 'stale'), 1);
  });

  it('cost a GET only one', async (t) => {
    const seen: string[] = [];
    const origin = await startRawOrigin(t, scripted(seen, ok, hangUp, hangUp, ok));
    const rig = await startRig(t, { instances: { p1: origin } });
    await exchange(t, rig.port, get('/a'));
    assert.match(await exchange(t, rig.port, get('/b')), /^HTTP\/1\.1 502 /);
    assert.equal(seen.length, 3);
  });

  for (const raw of [
    `POST /b HTTP/1.1\r\nHost: a\r\n${close}\r\n`,
    `PUT /b HTTP/1.1\r\nHost: a\r\n${close}Content-Length: 1\r\n\r\nx`,
  ]) {
    it(`never repeat ${raw.slice(0, 4)}: the server may have done it`, async (t) => {
      const seen: string[] = [];
      const origin = await startRawOrigin(t, scripted(seen, ok, hangUp, ok));
      const rig = await startRig(t, { instances: { p1: origin } });
      await exchange(t, rig.port, get('/a'));
      assert.match(await exchange(t, rig.port, raw), /^HTTP\/1\.1 502 /);
      assert.equal(seen.length, 2);
    });
  }

  it('are closed when nobody needs them', async (t) => {
    const closed = Promise.withResolvers<undefined>();
    const origin = await startRawOrigin(t, (socket) => {
      scripted([], ok)(socket);
      socket.on('close', () => {
        closed.resolve(undefined);
      });
    });
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { sweepIntervalMs: 5, timeouts: { idleMs: 20 } },
    });
    await exchange(t, rig.port, get());
    await closed.promise;
    while (rig.upstreams.get('p1')!.connections > 0) await new Promise(setImmediate);
    assert.equal(rig.counters.get('http_upstream', 'timeout-idle'), 1);
  });
});

describe('a request given up while its connection is made', () => {
  const upload: RequestHead = {
    method: 'POST',
    target: '/given-up',
    headers: HeaderBlock.of([['Host', 'a']]),
    framing: { kind: 'length', bytes: 9 },
  };

  it(
    'is not sent, and does not keep the connection from the next one',
    { timeout: 10_000 },
    async (t) => {
      const seen: string[] = [];
      const origin = await startRawOrigin(t, scripted(seen, ok));
      const rig = await startRig(t, {
        instances: { p1: origin },
        upstream: { connectionsMax: 1 },
      });
      const calls: string[] = [];
      rig.upstreams.get('p1')!.serve(upload, envelope, recorder(calls)).reset('cancelled');
      assert.match(await exchange(t, rig.port, get('/next')), /\r\n\r\nok$/);
      assert.deepEqual(
        seen.map((head) => head.split(' ')[1]),
        ['/next'],
      );
      assert.deepEqual(calls, []);
    },
  );
});

describe('a response of an upstream server', () => {
  it('that ends with its connection gets chunks, and the client keeps its own', async (t) => {
    const origin = await startRawOrigin(
      t,
      scripted([], (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nuntil the end')),
    );
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(await client.until(/\r\n0\r\n\r\n$/), /\r\nd\r\nuntil the end\r\n/);
    assert.equal(client.isClosed, false);
  });

  const bodiless: readonly (readonly [string, string, RegExp])[] = [
    [
      'HEAD',
      'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n',
      /^HTTP\/1\.1 200 OK\r\nContent-Length: 7\r\n/,
    ],
    ['HEAD', 'HTTP/1.1 200 OK\r\n\r\n', /^HTTP\/1\.1 200 OK\r\nDate/],
    [
      'GET',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n',
      /^HTTP\/1\.1 304 Not Modified\r\nContent-Length: 7\r\n/,
    ],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', /^HTTP\/1\.1 204 No Content\r\nDate/],
    [
      'GET',
      'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      /^HTTP\/1\.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP\/1\.1 200 OK\r\nContent-Length: 0\r\n/,
    ],
  ];
  for (const [method, answer, expected] of bodiless) {
    it(`${method} ${JSON.stringify(answer.slice(9, 60))} has no body`, async (t) => {
      const seen: string[] = [];
      const origin = await startRawOrigin(t, scripted(seen, answer, ok));
      const rig = await startRig(t, { instances: { p1: origin } });
      const client = new RawClient(t, rig.port);
      client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n${get('/next')}`);
      const text = await client.end();
      assert.match(text, expected);
      assert.match(text, /\r\n\r\nHTTP\/1\.1 200 OK\r\nContent-Length: 2\r\n[^]+\r\n\r\nok$/);
      assert.equal(seen.length, 2);
    });
  }

  it('204 that announces a body costs its connection: the body may still come', async (t) => {
    for (const framing of ['Transfer-Encoding: chunked', 'Content-Length: 5']) {
      const seen: string[] = [];
      const empty = `HTTP/1.1 204 No Content\r\n${framing}\r\n\r\n`;
      const origin = await startRawOrigin(t, scripted(seen, empty, ok));
      const rig = await startRig(t, { instances: { p1: origin } });
      const client = new RawClient(t, rig.port);
      client.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.until(/204 No Content\r\n[^]*\r\n\r\n$/);
      client.send('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.until(/\r\n\r\nok$/);
      assert.equal(rig.counters.get('http_upstream', 'connect'), 2);
    }
  });

  it('loses what belongs to the hop', async (t) => {
    const origin = await startRawOrigin(
      t,
      scripted(
        [],
        'HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n' +
          'proxy-beroute: p1\r\nX-End: 2\r\nContent-Length: 2\r\n\r\nok',
      ),
    );
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const text = await client.until(/ok$/);
    assert.match(
      text,
      /^HTTP\/1\.1 200 OK\r\nX-End: 2\r\nContent-Length: 2\r\nDate: [^\r]+\r\n\r\nok$/,
    );
  });
});

describe('more requests than connections', () => {
  it('wait their turn, bounded in number: 503', async (t) => {
    const waiting: Socket[] = [];
    const hold = (socket: Socket): void => void waiting.push(socket);
    const origin = await startRawOrigin(t, scripted([], hold, hold));
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { connectionsMax: 1, queueMax: 1 },
    });
    const first = new RawClient(t, rig.port);
    first.send(get('/1'));
    while (waiting.length === 0) await new Promise(setImmediate);
    const second = new RawClient(t, rig.port);
    second.send(get('/2'));
    while (rig.counters.get('http_requests', 'received') < 2) await new Promise(setImmediate);
    assert.match(await exchange(t, rig.port, get('/3')), /^HTTP\/1\.1 503 /);
    assert.equal(rig.counters.get('http_upstream', 'queue-full'), 1);
    waiting[0]!.write(ok);
    assert.match(await first.end(), /ok$/);
    while (waiting.length === 1) await new Promise(setImmediate);
    waiting[1]!.write(ok);
    assert.match(await second.end(), /ok$/);
    assert.equal(waiting[0], waiting[1], 'over the same connection');
  });

  it('wait their turn, bounded in time: 504', async (t) => {
    const origin = await startRawOrigin(t, (socket) => socket.resume());
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: {
        connectionsMax: 1,
        sweepIntervalMs: 5,
        timeouts: { queueMs: 20 },
      },
    });
    const first = new RawClient(t, rig.port);
    first.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
    while (rig.counters.get('http_requests', 'received') === 0) await new Promise(setImmediate);
    assert.match(await exchange(t, rig.port, get('/2')), /^HTTP\/1\.1 504 /);
    assert.equal(rig.counters.get('http_upstream', 'queue-timeout'), 1);
  });

  it('do not find the queue full of those that were given up', async (t) => {
    const origin = await startRawOrigin(t, (socket) => socket.resume());
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { connectionsMax: 1, queueMax: 2 },
    });
    const upstream = rig.upstreams.get('p1')!;
    const calls: string[] = [];
    const running = upstream.serve(lookUp, envelope, recorder(calls));
    const waiting = upstream.serve(lookUp, envelope, recorder(calls));
    for (let given = 0; given < 10_000; given++) {
      upstream.serve(lookUp, envelope, recorder(calls)).reset('cancelled');
    }
    assert.deepEqual(calls, []);
    waiting.reset('cancelled');
    running.reset('cancelled');
  });

  it('hold their clients back above some bytes of body, and above some pieces', async (t) => {
    const origin = await startRawOrigin(t, (socket) => socket.resume());
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { connectionsMax: 1 },
    });
    const upstream = rig.upstreams.get('p1')!;
    const running = upstream.serve(lookUp, envelope, recorder([]));
    for (const [pieces, bytes] of [
      [1, httpLimits.replayBytesMax],
      [httpLimits.replayPiecesMax, 1],
    ] as const) {
      const calls: string[] = [];
      const waiting = upstream.serve(
        { ...lookUp, method: 'POST', framing: { kind: 'chunked' } },
        envelope,
        recorder(calls),
      );
      for (let piece = 1; piece < pieces; piece++) waiting.data(Buffer.alloc(bytes));
      assert.deepEqual(calls, []);
      waiting.data(Buffer.alloc(bytes));
      assert.deepEqual(calls, ['pause']);
      waiting.reset('cancelled');
    }
    running.reset('cancelled');
  });

  it('open no further connection for a second try', async (t) => {
    const seen: string[] = [];
    const waiting: Socket[] = [];
    const hold = (socket: Socket): void => void waiting.push(socket);
    const origin = await startRawOrigin(t, scripted(seen, ok, hold, ok, ok));
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { connectionsMax: 1 },
    });
    await exchange(t, rig.port, get('/1'));
    const second = exchange(t, rig.port, get('/2'));
    while (waiting.length === 0) await new Promise(setImmediate);
    const third = exchange(t, rig.port, get('/3'));
    while (rig.counters.get('http_requests', 'received') < 3) await new Promise(setImmediate);
    waiting[0]!.destroy();
    assert.match(await second, /ok$/);
    assert.match(await third, /ok$/);
    assert.equal(rig.counters.get('http_upstream', 'stale'), 1);
    assert.equal(rig.counters.get('http_upstream', 'connect'), 2);
  });
});
