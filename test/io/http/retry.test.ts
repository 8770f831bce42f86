import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import {
  HeaderBlock,
  type RequestReceiver,
  type ResetCode,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import { LimitedLog, type ServeElsewhere, type ServeHttp } from '../../../src/io/http/index.ts';
import type { HttpRouting } from '../../../src/pipeline/http-journey.ts';
import { RetryBudget } from '../../../src/pipeline/http-retry.ts';
import { digestOf } from '../../../src/pipeline/key.ts';
import { exchange, RawClient, startRawOrigin, startRig, viewOf } from './http-rig.ts';

const close = 'Connection: close\r\n';
const empty = 'Content-Length: 0\r\n';

const nothing: RequestReceiver = {
  data: () => undefined,
  end: () => undefined,
  reset: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

function request(method: string, target = '/', lines = ''): string {
  return `${method} ${target} HTTP/1.1\r\nHost: a\r\n${close}${lines}\r\n`;
}

function answer(response: ResponseReceiver, text: string, headers: [string, string][] = []): void {
  const body = Buffer.from(text);
  response.head({
    status: 200,
    reason: 'OK',
    headers: HeaderBlock.of(headers),
    framing: { kind: 'length', bytes: body.length },
  });
  response.data(body);
  response.end([]);
}

/** Answers with its name and the body, when that is whole. */
const echoing: ServeHttp = (name, _, __, response) => {
  let body = '';
  return {
    ...nothing,
    data: (chunk) => {
      body += Buffer.from(chunk).toString();
    },
    end: () => {
      answer(response, `<${name} ${body}>`);
    },
  };
};

/** Refuses, and records its name and whether nobody is to be asked behind it. */
function refusing(seen: string[]): ServeHttp {
  return (name, _, { isLastOffer }, response) => {
    seen.push(isLastOffer === true ? `${name} last` : name);
    response.reset('refused');
    return nothing;
  };
}

/** The stamps that a response sets, as a client brings them. */
function stampsIn(text: string): string {
  const set = text.matchAll(/Set-Cookie: ((?:BEKEY|BEROUTE)=[^;]+);/g);
  return [...set].map(([, pair]) => pair).join('; ');
}

/** Fails each request with this code: at once, or a turn later. */
function failing(code: ResetCode, isLater: boolean, seen: string[] = []): ServeHttp {
  return (name, _, __, response) => {
    seen.push(name);
    const fail = (): void => {
      response.reset(code);
    };
    if (isLater) setImmediate(fail);
    else fail();
    return nothing;
  };
}

describe('an instance that breaks off before its answer', () => {
  for (const isLater of [false, true]) {
    const when = isLater ? 'later' : 'at once';
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
      it(`${when} leaves ${method} to the next one`, async (t) => {
        const rig = await startRig(t, {
          instances: { p1: failing('broken', isLater), p2: echoing },
        });
        const text = await exchange(t, rig.port, request(method, '/', empty));
        assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
        assert.equal(rig.counters.get('http_retries', 'broken'), 1);
        assert.equal(rig.counters.get('http_retries', 'refused'), 0);
      });
    }

    for (const method of ['POST', 'PATCH', 'get']) {
      it(`${when} has perhaps done what ${method} asked: 502`, async (t) => {
        const seen: string[] = [];
        const broken = failing('broken', isLater, seen);
        const rig = await startRig(t, { instances: { p1: broken, p2: broken } });
        const text = await exchange(t, rig.port, request(method, '/', empty));
        assert.match(text, /^HTTP\/1\.1 502 Bad Gateway\r\n/);
        assert.deepEqual(seen, ['p1']);
        assert.equal(rig.counters.get('http_retries', 'broken'), 0);
      });
    }
  }

  it('leaves the body too, as far as it has come, and the rest as it comes', async (t) => {
    const asked = Promise.withResolvers<ResponseReceiver>();
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => ({
          ...nothing,
          data: () => {
            asked.resolve(response);
          },
        }),
        p2: echoing,
      },
    });
    const client = new RawClient(t, rig.port);
    client.send(request('PUT', '/', 'Content-Length: 6\r\n') + 'abc');
    (await asked.promise).reset('broken');
    client.send('def');
    assert.match(await client.end(), /<p2 abcdef>$/);
  });

  it('gets no successor when too much of the body has gone', async (t) => {
    let sent = 0;
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => ({
          ...nothing,
          data: (chunk) => {
            sent += chunk.length;
            if (sent > 100_000) response.reset('broken');
          },
        }),
        p2: echoing,
      },
    });
    const client = new RawClient(t, rig.port);
    client.send(request('PUT', '/', 'Content-Length: 200000\r\n') + 'x'.repeat(150_000));
    assert.match(await client.end(), /^HTTP\/1\.1 502 /);
    assert.equal(rig.counters.get('http_retries', 'broken'), 0);
  });

  for (const status of [100, 103]) {
    it(`gets no successor once ${status} has been passed on`, async (t) => {
      const rig = await startRig(t, {
        instances: {
          p1: (_, __, ___, response) => {
            response.head({
              status,
              reason: '',
              headers: HeaderBlock.empty,
              framing: { kind: 'none' },
            });
            setImmediate(() => {
              response.reset('broken');
            });
            return nothing;
          },
          p2: echoing,
        },
      });
      const text = await exchange(t, rig.port, request('GET'));
      assert.match(text, /HTTP\/1\.1 502 /);
      assert.doesNotMatch(text, /p2/);
    });
  }

  it('is never asked twice, and no more are asked than allowed', async (t) => {
    for (const [attemptsMax, expected] of [
      [1, ['p1']],
      [2, ['p1', 'p2']],
      [8, ['p1', 'p2', 'p3']],
    ] as const) {
      for (const code of ['broken', 'refused'] as const) {
        const seen: string[] = [];
        const instance = failing(code, true, seen);
        const rig = await startRig(t, {
          instances: { p1: instance, p2: instance, p3: instance },
          routing: { attemptsMax },
        });
        assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
        assert.deepEqual(seen, expected);
      }
    }
  });

  it('costs the successor a share of the requests only', async (t) => {
    for (const [percent, retried] of [
      [0, 0],
      [50, 5],
      [100, 11],
    ] as const) {
      const rig = await startRig(t, {
        instances: { p1: failing('broken', true), p2: failing('broken', true) },
        listener: { retries: new RetryBudget(percent, 0) },
      });
      const client = new RawClient(t, rig.port);
      client.send(`${'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(10)}${request('GET')}`);
      await client.end();
      assert.equal(rig.counters.get('http_retries', 'broken'), retried);
      assert.equal(rig.counters.get('http_retry_budget', 'exhausted'), 11 - retried);
    }
  });

  it('needs no budget when it refused: nothing was done', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: failing('refused', true), p2: echoing },
      listener: { retries: new RetryBudget(0, 0) },
    });
    assert.match(await exchange(t, rig.port, request('POST', '/', empty)), /<p2 >$/);
    assert.equal(rig.counters.get('http_retries', 'refused'), 1);
  });

  it('is answered 502 when others refuse, though an instance that was out of reach is behind', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: failing('refused', false), p2: () => undefined },
    });
    assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
  });
});

describe('at a peer that reaches no other', () => {
  const away: ServeHttp = () => undefined;
  /** The first named is the peer's own; in turn it comes last. */
  const cutOff = { p5: echoing, p1: away, p2: away, p3: away, p4: away };
  const five = viewOf(Object.keys(cutOff));
  /** A key for which the ring does not name the own instance among the first three. */
  const othersKey = (prefix: string): string => {
    let at = 0;
    while (five.ring.successors(digestOf(`${prefix}${at}`), 3).includes(five.self)) at++;
    return `${prefix}${at}`;
  };
  const withSession: ServeHttp = (name, _, __, response) => {
    answer(response, name, [['Set-Cookie', othersKey('sid=')]]);
    return nothing;
  };

  it('the own instance serves who is new, and keeps the session', async (t) => {
    const rig = await startRig(t, {
      instances: { ...cutOff, p5: withSession },
      routing: { affinityKeys: ['call'] },
      listener: { retries: new RetryBudget(0, 0) },
    });
    for (const target of ['/', `/?call=${othersKey('k')}`]) {
      const first = await exchange(t, rig.port, request('GET', target));
      assert.match(first, /^HTTP\/1\.1 200 OK\r\n[^]+p5$/, target);
      const stamps = stampsIn(first);
      assert.match(stamps, /BEROUTE=p5\./);
      const next = await exchange(t, rig.port, request('GET', '/', `Cookie: ${stamps}\r\n`));
      assert.match(next, /^HTTP\/1\.1 200 OK\r\n[^]+p5$/, target);
    }
  });

  it('it gets the body too', async (t) => {
    const rig = await startRig(t, { instances: cutOff });
    const post = `${request('POST', '/', 'Content-Length: 3\r\n')}abc`;
    assert.match(await exchange(t, rig.port, post), /<p5 abc>$/);
  });

  it('sessions of the others get 503: it does not know them', async (t) => {
    let isAway = false;
    const others: ServeHttp = (...asked) => (isAway ? undefined : withSession(...asked));
    const rig = await startRig(t, {
      instances: { p5: withSession, p1: others, p2: others, p3: others, p4: others },
    });
    const first = await exchange(t, rig.port, request('GET'));
    assert.match(first, /p1$/);
    isAway = true;
    const cookie = `Cookie: ${stampsIn(first)}\r\n`;
    const text = await exchange(t, rig.port, request('GET', '/', cookie));
    assert.match(text, /^HTTP\/1\.1 503 /);
  });

  it('it is the one that is asked last, and told so', async (t) => {
    const seen: string[] = [];
    const rig = await startRig(t, {
      instances: {
        p5: refusing(seen),
        p1: away,
        p2: refusing(seen),
        p3: refusing(seen),
        p4: refusing(seen),
      },
    });
    assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
    assert.deepEqual(seen, ['p2', 'p3', 'p5 last']);
  });

  it('it is asked instead of one that was out of reach, and not beside as many as may be', async (t) => {
    for (const [attemptsMax, expected] of [
      [1, ['p1 last']],
      [2, ['p1', 'p2 last']],
      [3, ['p1', 'p2', 'p5 last']],
      [4, ['p1', 'p2', 'p4', 'p5 last']],
    ] as const) {
      const seen: string[] = [];
      const refuses = refusing(seen);
      const rig = await startRig(t, {
        instances: { p5: refuses, p1: refuses, p2: refuses, p3: away, p4: refuses },
        routing: { attemptsMax },
      });
      assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
      assert.deepEqual(seen, expected);
    }
  });

  it('it is not asked once too many have broken off, and takes nothing of the budget', async (t) => {
    for (const isLater of [false, true]) {
      const seen: string[] = [];
      const broken = failing('broken', isLater, seen);
      const rig = await startRig(t, {
        instances: { p5: broken, p1: broken, p2: broken, p3: broken, p4: away },
        listener: { retries: new RetryBudget(0, 2) },
      });
      assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
      assert.deepEqual(seen, ['p1', 'p2', 'p3']);
      assert.equal(rig.counters.get('http_retries', 'broken'), 2);
      assert.equal(rig.counters.get('http_retry_budget', 'exhausted'), 0);
    }
  });
});

describe('servers that hang up', () => {
  /** Answers the first request of each server, then closes with each further one. */
  async function hangingUp(t: Parameters<typeof startRawOrigin>[0], seen: string[], name: string) {
    let isFirst = true;
    return startRawOrigin(t, (socket: Socket) => {
      socket.on('data', () => {
        seen.push(name);
        if (isFirst) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
        else socket.destroy();
        isFirst = false;
      });
    });
  }

  it('see a request once more on a new connection, then it goes to the next one', async (t) => {
    const seen: string[] = [];
    const rig = await startRig(t, {
      instances: { p1: await hangingUp(t, seen, 'p1'), p2: await hangingUp(t, seen, 'p2') },
    });
    await exchange(t, rig.port, request('GET'));
    await exchange(t, rig.port, request('GET'));
    assert.deepEqual(seen.splice(0), ['p1', 'p2']);
    assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
    assert.deepEqual(seen, ['p1', 'p1', 'p2', 'p2'], 'stale, then new, at each');
    assert.equal(rig.counters.get('http_upstream', 'stale'), 2);
    assert.equal(rig.counters.get('http_retries', 'broken'), 1);
  });
});

describe('the session of an instance that keeps failing', () => {
  it('is served by the next one meanwhile, keeps its stamps and returns', async (t) => {
    let isBroken = false;
    const origin = await startRawOrigin(t, (socket) => {
      socket.on('data', () => {
        if (isBroken) socket.destroy();
        else socket.write('HTTP/1.1 200 OK\r\nSet-Cookie: sid=1\r\nContent-Length: 2\r\n\r\np1');
      });
    });
    const rig = await startRig(t, {
      instances: { p1: origin, p2: echoing },
      upstream: {
        ejection: { failures: 1, baseMs: 1, maxMs: 1 },
        sweepIntervalMs: 1,
        timeouts: { idleMs: 0 },
      },
    });
    const first = await exchange(t, rig.port, request('GET'));
    const cookie = `Cookie: sid=1; ${stampsIn(first)}\r\n`;
    isBroken = true;
    for (let at = 0; at < 5; at++) {
      const text = await exchange(t, rig.port, request('GET', '/', cookie));
      assert.match(text, /<p2 >$/);
      assert.doesNotMatch(text, /Set-Cookie/);
    }
    assert.equal(rig.counters.get('http_upstream', 'ejected'), 1);
    isBroken = false;
    let text = '';
    while (!text.endsWith('p1')) text = await exchange(t, rig.port, request('GET', '/', cookie));
    assert.doesNotMatch(text, /BEROUTE/);
    assert.equal(rig.counters.get('http_upstream', 'returned'), 1);
  });

  it('is tried there when it is the only one', async (t) => {
    const origin = await startRawOrigin(t, (socket) => {
      socket.on('data', () => socket.destroy());
    });
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { ejection: { failures: 1, baseMs: 3_600_000, maxMs: 3_600_000 } },
    });
    for (let at = 0; at < 5; at++) {
      assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
    }
    assert.equal(rig.counters.get('http_upstream', 'ejected'), 1);
    assert.equal(rig.counters.get('http_upstream', 'connect'), 5);
  });
});

describe('when no instance is left', () => {
  const host = 'sorry.example:8080';
  const redirect: Partial<HttpRouting> = { unavailableHost: { host, mode: 'redirect' } };
  const proxy: Partial<HttpRouting> = { unavailableHost: { host, mode: 'proxy' } };
  const refusing = failing('refused', true);
  const gone: readonly (readonly [string, Readonly<Record<string, ServeHttp>>])[] = [
    ['there is none', {}],
    ['all refuse', { p1: refusing, p2: refusing }],
    ['there is no way to any', { p1: () => undefined }],
  ];

  for (const [why, instances] of gone) {
    it(`${why}: clients are sent to another host`, async (t) => {
      const rig = await startRig(t, { instances, routing: redirect });
      const text = await exchange(t, rig.port, request('GET', '/a?b=c'));
      assert.match(text, /^HTTP\/1\.1 307 Temporary Redirect\r\n/);
      assert.match(text, /\r\nLocation: http:\/\/sorry\.example:8080\/a\?b=c\r\n/);
      assert.match(text, /\r\n\r\n307 Temporary Redirect\n$/);
      assert.equal(rig.counters.get('http_redirects', 'unavailable'), 1);
      assert.deepEqual(rig.log, [], 'no failure');
    });

    it(`${why}: another server gets the request, body and all, without cookies of ours`, async (t) => {
      const seen: string[] = [];
      const serveElsewhere: ServeElsewhere = (head, response) => {
        let body = '';
        seen.push(`${head.method} ${head.target} ${head.headers.get('host')}`);
        return {
          ...nothing,
          data: (chunk) => {
            body += Buffer.from(chunk).toString();
          },
          end: () => {
            answer(response, `sorry: ${body}`, [['Set-Cookie', 'JSESSIONID=1']]);
          },
        };
      };
      const rig = await startRig(t, { instances, routing: proxy, listener: { serveElsewhere } });
      const text = await exchange(
        t,
        rig.port,
        request('POST', '/a', 'Content-Length: 3\r\n') + 'abc',
      );
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n[^]+sorry: abc$/);
      assert.doesNotMatch(text, /BEKEY|BEROUTE/);
      assert.deepEqual(seen, ['POST /a a']);
      assert.equal(rig.counters.get('http_elsewhere', 'sent'), 1);
    });
  }

  it('and the other server fails too, its failure is the answer', async (t) => {
    for (const code of ['refused', 'broken', 'timeout'] as const) {
      let asked = 0;
      const serveElsewhere: ServeElsewhere = (_, response) => {
        asked++;
        setImmediate(() => {
          response.reset(code);
        });
        return nothing;
      };
      const rig = await startRig(t, {
        instances: { p1: refusing },
        routing: proxy,
        listener: { serveElsewhere },
      });
      const status = code === 'timeout' ? 504 : 502;
      const text = await exchange(t, rig.port, request('GET'));
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(asked, 1);
    }
  });

  it('a request that an instance may have processed goes nowhere else', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: failing('broken', true), p2: refusing },
      routing: redirect,
    });
    assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 502 /);
  });

  it('503 tells when to come again, and nothing of the inside', async (t) => {
    const rig = await startRig(t, { instances: {} });
    const text = await exchange(t, rig.port, request('GET'));
    assert.match(
      text,
      /^HTTP\/1\.1 503 Service Unavailable\r\nContent-Type: text\/plain; charset=utf-8\r\nRetry-After: 2\r\nContent-Length: 24\r\nDate: [^\r]+\r\nConnection: close\r\n\r\n503 Service Unavailable\n$/,
    );
  });
});

describe('a listener that is there to send clients to HTTPS', () => {
  it('does so, whoever is there to serve', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: echoing },
      listener: { redirectToHttpsPort: 8_443 },
    });
    const text = await exchange(t, rig.port, request('GET', '/a?b'));
    assert.match(text, /^HTTP\/1\.1 301 Moved Permanently\r\n/);
    assert.match(text, /\r\nLocation: https:\/\/a:8443\/a\?b\r\n/);
    const post = request('POST', '/', 'Content-Length: 3\r\n') + 'abc';
    assert.match(await exchange(t, rig.port, post), /^HTTP\/1\.1 308 Permanent Redirect\r\n/);
  });

  it('answers 400 to who names no host that a URL can have', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: echoing },
      listener: { redirectToHttpsPort: 443 },
    });
    const text = await exchange(t, rig.port, `GET / HTTP/1.0\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/);
  });
});

describe('a whole exchange', () => {
  const timeouts = { sweepIntervalMs: 5, requestMs: 30 };

  it('has a time until its answer begins: 504', { timeout: 10_000 }, async (t) => {
    const reset = Promise.withResolvers<ResetCode>();
    const rig = await startRig(t, {
      instances: { p1: () => ({ ...nothing, reset: reset.resolve }) },
      listener: { timeouts },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(/^HTTP\/1\.1 504 Gateway Timeout\r\n[^]+504 Gateway Timeout\n$/);
    assert.equal(await reset.promise, 'timeout');
    assert.equal(rig.counters.get('http_timeouts', 'request'), 1);
    assert.equal(rig.counters.get('http_timeouts', 'response'), 0);
  });

  it('is broken off when its answer lasts too long', { timeout: 10_000 }, async (t) => {
    const rig = await startRig(t, {
      instances: {
        p1: (_, __, ___, response) => {
          response.head({
            status: 200,
            reason: 'OK',
            headers: HeaderBlock.empty,
            framing: { kind: 'chunked' },
          });
          response.data(Buffer.from('abc'));
          return nothing;
        },
      },
      listener: { timeouts },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(await client.end(), /abc/);
    assert.equal(client.hasError, true, 'reset, not ended');
    assert.equal(rig.counters.get('http_timeouts', 'request'), 1);
  });

  it('is no longer for all its instances together', { timeout: 10_000 }, async (t) => {
    const seen: string[] = [];
    const rig = await startRig(t, {
      instances: {
        p1: failing('broken', true, seen),
        p2: (name) => {
          seen.push(name);
          return nothing;
        },
      },
      listener: { timeouts },
    });
    assert.match(await exchange(t, rig.port, request('GET')), /^HTTP\/1\.1 504 /);
    assert.deepEqual(seen, ['p1', 'p2']);
  });
});

describe('a flood of failures', () => {
  it('is no flood of log lines', async (t) => {
    const rig = await startRig(t, { instances: { p1: failing('broken', false) } });
    const client = new RawClient(t, rig.port);
    const one = `POST / HTTP/1.1\r\nHost: a\r\n${empty}\r\n`;
    client.send(`${one.repeat(500)}${request('POST', '/last', empty)}`);
    await client.end();
    assert.equal(rig.counters.get('http_errors', '502'), 501);
    const lines = rig.log.filter((line) => line.startsWith('HTTP request failed'));
    // Five a second, and a run of some seconds is a slow one.
    assert.ok(lines.length >= 5 && lines.length <= 50, `${lines.length} lines`);
  });

  it('tells with a later line how many were left out, each kind on its own', () => {
    const lines: string[] = [];
    const write = (details: object, message: string): void => {
      lines.push(`${message} ${JSON.stringify(details)}`);
    };
    let nowMs = 0;
    const log = new LimitedLog({ info: write, warn: write, error: write }, () => nowMs);
    for (let at = 0; at < 100; at++) log.warn({ at }, 'bad');
    assert.equal(lines.length, 5);
    log.error({}, 'worse');
    log.info({}, 'good');
    assert.deepEqual(lines.splice(0).slice(5), ['worse {}', 'good {}']);
    nowMs = 1_000;
    log.warn({ at: 100 }, 'bad');
    log.warn({ at: 101 }, 'bad');
    assert.deepEqual(lines, ['bad {"at":100,"leftOut":95}', 'bad {"at":101}']);
  });
});
