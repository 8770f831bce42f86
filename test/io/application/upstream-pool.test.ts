import assert from 'node:assert/strict';
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { HeaderBlock, type RequestHead, type ResponseReceiver } from '../../../src/http/index.ts';
import { UpstreamHttp } from '../../../src/io/application/upstream-http.ts';
import {
  UpstreamQueue,
  type Waiting,
  type WaitingPlace,
} from '../../../src/io/application/upstream-queue.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { Envelope } from '../../../src/pipeline/envelope.ts';
import {
  closedPort,
  startRawOrigin,
  upstreamConfig,
  type UpstreamOverrides,
} from '../http/http-rig.ts';

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

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface Pool {
  readonly upstream: UpstreamHttp;
  readonly counters: Counters;
  readonly log: string[];
}

function startPool(t: TestContext, port: number, overrides: UpstreamOverrides): Pool {
  const counters = new Counters();
  const log: string[] = [];
  const upstream = new UpstreamHttp({
    config: upstreamConfig(port, overrides),
    counters,
    log: { warn: (_, message) => log.push(message) },
    sweepIntervalMs: overrides.sweepIntervalMs ?? 5,
  });
  t.after(() => upstream.stop());
  return { upstream, counters, log };
}

interface Asked {
  /** `200`, or why it was reset. */
  readonly outcome: Promise<string>;
  readonly reset: (code: 'cancelled' | 'timeout') => void;
  readonly pause: () => void;
  readonly resume: () => void;
}

function ask(upstream: UpstreamHttp, given: Partial<Envelope> = {}): Asked {
  const { promise, resolve } = Promise.withResolvers<string>();
  let status = 0;
  const response: ResponseReceiver = {
    head: (head) => {
      status = head.status;
    },
    data: () => undefined,
    end: () => {
      resolve(String(status));
    },
    reset: resolve,
    pause: () => undefined,
    resume: () => undefined,
  };
  const serving = upstream.serve(lookUp, { ...envelope, ...given }, response);
  serving.end([]);
  return {
    outcome: promise,
    reset: (code) => {
      serving.reset(code);
    },
    pause: () => {
      serving.pause();
    },
    resume: () => {
      serving.resume();
    },
  };
}

/** Answers each request head; they carry no body. */
function answering(...answers: string[]): (socket: Socket) => void {
  return (socket) => {
    socket.on('data', (bytes) => {
      const heads = bytes.toString('latin1').split('\r\n\r\n').length - 1;
      for (let head = 0; head < heads; head++) socket.write(answers.shift() ?? ok);
    });
  };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(setImmediate);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}

describe('a server that keeps failing', () => {
  const ejection = { failures: 3, baseMs: 3_600_000, maxMs: 3_600_000 };

  it('gets no requests: they are refused at once, without a connection', async (t) => {
    const { upstream, counters, log } = startPool(t, await closedPort(), { ejection });
    for (let at = 0; at < 3; at++) assert.equal(await ask(upstream).outcome, 'refused');
    assert.equal(counters.get('http_upstream', 'ejected'), 1);
    for (let at = 0; at < 50; at++) assert.equal(await ask(upstream).outcome, 'refused');
    assert.equal(counters.get('http_upstream', 'connect'), 3);
    assert.equal(counters.get('http_upstream', 'turned-away'), 50);
    assert.equal(log.filter((line) => line.includes('keeps failing')).length, 1);
  });

  it('gets those that nobody else is asked for, and is back with the first answer', async (t) => {
    const port = await closedPort();
    const { upstream, counters } = startPool(t, port, { ejection });
    for (let at = 0; at < 3; at++) await ask(upstream).outcome;
    assert.equal(await ask(upstream, { isLastOffer: true }).outcome, 'refused');
    assert.equal(counters.get('http_upstream', 'connect'), 4);
    const server = await listen(t, port, answering());
    assert.equal(server.listening, true);
    assert.equal(await ask(upstream).outcome, 'refused');
    assert.equal(await ask(upstream, { isLastOffer: true }).outcome, '200');
    assert.equal(await ask(upstream).outcome, '200');
    assert.equal(counters.get('http_upstream', 'returned'), 1);
  });

  it('is tried again after a pause', { timeout: 10_000 }, async (t) => {
    const port = await closedPort();
    const quick = { failures: 1, baseMs: 1, maxMs: 5 };
    const { upstream, counters } = startPool(t, port, { ejection: quick, sweepIntervalMs: 1 });
    assert.equal(await ask(upstream).outcome, 'refused');
    const server = await listen(t, port, answering());
    assert.equal(server.listening, true);
    let outcome = '';
    while (outcome !== '200') {
      outcome = await ask(upstream).outcome;
      await turns(1);
    }
    assert.equal(counters.get('http_upstream', 'returned'), 1);
    assert.equal(counters.get('http_upstream', 'trial'), 1);
  });

  const failing: readonly (readonly [string, (socket: Socket) => void, string])[] = [
    [
      'breaks off without a word',
      (socket) => socket.once('data', () => socket.destroy()),
      'broken',
    ],
    ['says nothing', (socket) => socket.resume(), 'timeout'],
    ['speaks no HTTP', answering('SSH\r\n\r\n', 'SSH\r\n\r\n', 'SSH\r\n\r\n'), 'broken'],
  ];
  for (const [why, accept, outcome] of failing) {
    it(`is one that ${why}`, { timeout: 10_000 }, async (t) => {
      const port = await startRawOrigin(t, accept);
      // On a busy machine the others may take longer than that.
      const timeouts = outcome === 'timeout' ? { responseMs: 15 } : {};
      const { upstream, counters } = startPool(t, port, { ejection, timeouts });
      for (let at = 0; at < 3; at++) assert.equal(await ask(upstream).outcome, outcome);
      assert.equal(counters.get('http_upstream', 'ejected'), 1);
    });
  }

  it('is one for which its askers wait in vain', async (t) => {
    let received = 0;
    const port = await startRawOrigin(t, (socket) => socket.on('data', () => received++));
    const { upstream, counters } = startPool(t, port, { ejection });
    for (let at = 1; at <= 3; at++) {
      const asked = ask(upstream);
      await until(() => received === at);
      asked.reset('timeout');
    }
    assert.equal(counters.get('http_upstream', 'ejected'), 1);
  });

  it('is none whose answer nobody takes yet', { timeout: 10_000 }, async (t) => {
    const port = await startRawOrigin(t, (socket) => socket.resume());
    const { upstream } = startPool(t, port, { timeouts: { responseMs: 20 } });
    const paused = ask(upstream);
    paused.pause();
    // Asked later, and over when their time is.
    assert.equal(await ask(upstream).outcome, 'timeout');
    assert.equal(await ask(upstream).outcome, 'timeout');
    const ended = await Promise.race([paused.outcome, Promise.resolve('not yet')]);
    assert.equal(ended, 'not yet');
    paused.resume();
    assert.equal(await paused.outcome, 'timeout');
  });

  it('is none that answers and breaks off later, or says 500', async (t) => {
    const begun = 'HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nabc';
    const port = await startRawOrigin(t, (socket) =>
      socket.once('data', () => {
        socket.end(begun);
      }),
    );
    const { upstream, counters } = startPool(t, port, { ejection });
    for (let at = 0; at < 10; at++) assert.equal(await ask(upstream).outcome, 'broken');
    assert.equal(counters.get('http_upstream', 'ejected'), 0);
  });

  it('is none whose askers go away, or whose connections are all in use', async (t) => {
    const port = await startRawOrigin(t, (socket) => socket.resume());
    const { upstream, counters } = startPool(t, port, {
      ejection,
      connectionsMax: 1,
      queueMax: 1,
      timeouts: { queueMs: 10 },
    });
    const running = ask(upstream);
    for (let at = 0; at < 5; at++) {
      const waiting = ask(upstream);
      assert.equal(await ask(upstream).outcome, 'limit');
      assert.equal(await waiting.outcome, 'timeout');
      ask(upstream).reset('cancelled');
    }
    running.reset('cancelled');
    assert.equal(counters.get('http_upstream', 'queue-timeout'), 5);
    assert.equal(counters.get('http_upstream', 'ejected'), 0);
  });
});

describe('requests that wait for a connection', () => {
  it('are none where none may wait', async (t) => {
    const port = await startRawOrigin(t, (socket) => socket.resume());
    const { upstream, counters } = startPool(t, port, { connectionsMax: 1, queueMax: 0 });
    const running = ask(upstream);
    assert.equal(await ask(upstream).outcome, 'limit');
    assert.equal(counters.get('http_upstream', 'queue-full'), 1);
    running.reset('cancelled');
  });

  it('leave when their asker goes away', async (t) => {
    const port = await startRawOrigin(t, (socket) => socket.resume());
    const { upstream } = startPool(t, port, { connectionsMax: 1, queueMax: 3 });
    const running = ask(upstream);
    const waiting = [ask(upstream), ask(upstream), ask(upstream)];
    assert.equal(upstream.waiting, 3);
    waiting[1]!.reset('cancelled');
    assert.equal(upstream.waiting, 2);
    waiting[0]!.reset('cancelled');
    waiting[2]!.reset('cancelled');
    assert.equal(upstream.waiting, 0);
    running.reset('cancelled');
  });

  it('go first come, first served, whoever leaves', () => {
    const step = fc.oneof(
      fc.constant('push' as const),
      fc.constant('shift' as const),
      fc.nat({ max: 20 }),
    );
    fc.assert(
      fc.property(fc.array(step), fc.nat({ max: 8 }), (steps, lengthMax) => {
        const queue = new UpstreamQueue<Numbered>(lengthMax);
        let model: Numbered[] = [];
        for (const [at, given] of steps.entries()) {
          if (given === 'push') {
            const item = new Numbered();
            assert.equal(queue.push(item, at), model.length < lengthMax);
            if (model.length < lengthMax) model.push(item);
          } else if (given === 'shift') {
            assert.equal(queue.shift(), model.shift());
          } else {
            model[given]?.waiting?.leave();
            model = model.filter((_, index) => index !== given);
          }
          assert.equal(queue.length, model.length);
        }
        for (const item of model) assert.equal(queue.shift(), item);
        assert.equal(queue.shift(), undefined);
      }),
    );
  });

  it('are looked at by age', () => {
    const queue = new UpstreamQueue<Numbered>(3);
    const [first, second] = [new Numbered(), new Numbered()];
    queue.push(first, 10);
    queue.push(second, 20);
    assert.equal(queue.shiftOlder(9), undefined);
    assert.equal(queue.shiftOlder(10), first);
    assert.equal(queue.shiftOlder(19), undefined);
    assert.equal(queue.shiftOlder(20), second);
    assert.equal(queue.shiftOlder(99), undefined);
  });
});

describe('connections to a server', () => {
  it(
    'are never more than allowed, and leave none behind, whatever becomes of requests',
    { timeout: 60_000 },
    async (t) => {
      const connectionsMax = 4;
      const total = 2_000;
      let open = 0;
      let peak = 0;
      let seen = 0;
      const peaks = { look: (): number => 0 };
      const port = await startRawOrigin(t, (socket) => {
        open++;
        socket.on('close', () => open--);
        socket.on('data', () => {
          peak = Math.max(peak, peaks.look());
          // Every kind of end: an answer, an answer that closes, none.
          const kind = seen++ % 7;
          if (kind === 5) socket.destroy();
          else if (kind === 6) socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok`);
          else socket.write(ok);
        });
      });
      const { upstream, counters } = startPool(t, port, {
        connectionsMax,
        queueMax: total,
        ejection: { failures: 0 },
        timeouts: { idleMs: 50 },
      });
      // The server's view lags behind: what is closed here may be open there for a moment.
      peaks.look = () => upstream.connections;
      const outcomes: Promise<string>[] = [];
      for (let at = 0; at < total; at++) {
        const asked = ask(upstream);
        if (at % 10 === 3) asked.reset('cancelled');
        else outcomes.push(asked.outcome);
        if (at % 100 === 0) await turns(2);
        peak = Math.max(peak, upstream.connections);
      }
      const ended = await Promise.all(outcomes);
      const answered = ended.filter((outcome) => outcome === '200').length;
      const broken = ended.filter((outcome) => outcome === 'broken').length;
      assert.equal(answered + broken, ended.length);
      assert.ok(answered > total / 2, `${answered} answered, ${broken} broken`);
      assert.equal(peak, connectionsMax);
      assert.equal(upstream.waiting, 0);
      await until(() => upstream.connections === 0 && open === 0);
      assert.ok(counters.get('http_upstream', 'timeout-idle') > 0, 'the last ones were idle');
    },
  );

  it('are made once a request for a server that closes them all', async (t) => {
    let accepted = 0;
    const port = await startRawOrigin(t, (socket) => {
      accepted++;
      socket.destroy();
    });
    const { upstream, counters } = startPool(t, port, {
      connectionsMax: 2,
      ejection: { failures: 0 },
    });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => ask(upstream).outcome));
    assert.deepEqual([...new Set(outcomes)], ['broken']);
    await until(() => upstream.connections === 0);
    await turns(50);
    assert.equal(counters.get('http_upstream', 'connect'), 20);
    assert.ok(accepted <= 20, `${accepted} connections`);
  });
});

class Numbered implements Waiting {
  waiting: WaitingPlace | undefined;
}

async function listen(
  t: TestContext,
  port: number,
  accept: (socket: Socket) => void,
): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return server;
}

describe('a defect of ours', () => {
  it('in what takes the answer costs that connection, and the pool goes on', async (t) => {
    const { upstream, counters, log } = startPool(t, await startRawOrigin(t, answering()), {
      connectionsMax: 1,
    });
    const reset = Promise.withResolvers<string>();
    const response: ResponseReceiver = {
      head: () => {
        throw new Error('a defect of ours');
      },
      data: () => undefined,
      end: () => undefined,
      reset: reset.resolve,
      pause: () => undefined,
      resume: () => undefined,
    };
    upstream.serve(lookUp, envelope, response).end([]);
    assert.equal(await reset.promise, 'broken');
    assert.equal(counters.get('http_defects', 'upstream'), 1);
    assert.deepEqual(log, ['Upstream HTTP connection failed']);
    assert.equal(await ask(upstream).outcome, '200');
  });
});
