import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { linkLimits } from '../../../src/config/defaults.ts';
import {
  HeaderBlock,
  type HeaderList,
  type RequestReceiver,
  type ResetCode,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import { resetCodes } from '../../../src/io/link/frame.ts';
import {
  Recorder,
  TestPeer,
  envelope,
  getRequest,
  linked,
  okResponse,
  stopAll,
} from './test-peer.ts';

const trailers: HeaderList = [['Checksum', 'abc']];

describe('HTTP over links', () => {
  let a: TestPeer;
  let b: TestPeer;
  /** What the serving side got, and its handle to answer. */
  let served: Recorder;
  let answer: ResponseReceiver;
  let whenServed: Promise<void>;

  before(async () => {
    a = new TestPeer('a', { limits: { exchangesMax: 20 } });
    b = new TestPeer('b');
    await linked(a, b);
  });
  after(async () => {
    await stopAll(a, b);
  });
  beforeEach(() => {
    served = new Recorder();
    whenServed = new Promise((resolve) => {
      b.serve = (request, given, response) => {
        assert.deepEqual(request, getRequest);
        assert.deepEqual(given, envelope);
        answer = response;
        resolve();
        return served;
      };
    });
  });

  function ask(response: ResponseReceiver): RequestReceiver {
    const request = a.links.openHttp('b', getRequest, envelope, response);
    assert.ok(request !== undefined);
    return request;
  }

  it('needs one frame out and one back for a small exchange', async () => {
    b.serve = (_request, _envelope, response) => {
      response.head(okResponse);
      response.data(Buffer.from('hello'));
      response.end([]);
      return served;
    };
    const framesBefore = [a, b].map((peer) => peer.counters.get('link_frames', 'sent'));
    const response = new Recorder();
    const request = ask(response);
    request.data(Buffer.from('question'));
    request.end([]);
    await response.until(({ trailers: end }) => end !== undefined);
    assert.deepEqual(response.heads, [okResponse]);
    assert.equal(response.text, 'hello');
    assert.equal(served.text, 'question');
    assert.deepEqual(
      [a, b].map((peer, index) => peer.counters.get('link_frames', 'sent') - framesBefore[index]!),
      [1, 1],
    );
  });

  it('carries interim heads, bodies in pieces and trailers both ways', async () => {
    const response = new Recorder();
    const request = ask(response);
    await whenServed;
    answer.head({ ...okResponse, status: 103 });
    answer.head(okResponse);
    answer.data(Buffer.from('one '));
    request.data(Buffer.from('first '));
    await served.until(({ text }) => text === 'first ');
    request.data(Buffer.from('second'));
    request.end(trailers);
    await served.until(({ trailers: end }) => end !== undefined);
    assert.equal(served.text, 'first second');
    assert.deepEqual(served.trailers, trailers);
    answer.data(Buffer.from('two'));
    answer.end(trailers);
    await response.until(({ trailers: end }) => end !== undefined);
    assert.deepEqual(
      response.heads.map(({ status }) => status),
      [103, 200],
    );
    assert.equal(response.text, 'one two');
    assert.deepEqual(response.trailers, trailers);
  });

  for (const code of resetCodes) {
    it(`carries the reset ${code} both ways`, async () => {
      const first = new Recorder();
      const cancelled = ask(first);
      await whenServed;
      cancelled.reset(code);
      await served.until((recorder) => recorder.code !== undefined);
      assert.equal(served.code, code);
      assert.equal(first.code, undefined);

      b.serve = (_request, _envelope, response) => {
        response.reset(code);
        return served;
      };
      const refused = new Recorder();
      ask(refused);
      await refused.until((recorder) => recorder.code !== undefined);
      assert.equal(refused.code, code);
    });
  }

  it('keeps to the number of exchanges', async () => {
    const requests: RequestReceiver[] = [];
    const last = new Recorder();
    b.serve = (request) => (request.target === '/last' ? last : served);
    for (;;) {
      const request = a.links.openHttp('b', getRequest, envelope, new Recorder());
      if (request === undefined) break;
      requests.push(request);
    }
    assert.ok(requests.length <= 20);
    assert.ok(a.counters.get('link_http_refusals', 'exchanges_max') > 0);
    for (const request of requests) request.reset('cancelled');
    const lastRequest = { ...getRequest, target: '/last' };
    const again = a.links.openHttp('b', lastRequest, envelope, new Recorder());
    assert.ok(again !== undefined);
    again.reset('cancelled');
    await last.until(({ code }) => code === 'cancelled');
  });

  it('ends an exchange whose sender does not pause', async () => {
    const response = new Recorder();
    const request = ask(response);
    await whenServed;
    answer.pause();
    const chunk = Buffer.alloc(65_536);
    let written = 0;
    while (response.code === undefined) {
      request.data(chunk);
      written += chunk.length;
    }
    assert.ok(response.isPaused);
    assert.equal(response.code, 'limit');
    assert.ok(
      written <=
        linkLimits.exchangeWindowBytes + linkLimits.exchangeQueueBytesMax + 2 * chunk.length,
    );
    await served.until(({ code }) => code !== undefined);
    assert.equal(served.code, 'limit');
  });

  it('refuses a head that is too large or is not latin1', () => {
    const wide = { ...getRequest, target: '/a\u010Ab' };
    assert.throws(() => a.links.openHttp('b', wide, envelope, new Recorder()), TypeError);
    const large = {
      ...getRequest,
      headers: HeaderBlock.of([['X', 'a'.repeat(linkLimits.headBytesMax)]]),
    };
    assert.equal(a.links.openHttp('b', large, envelope, new Recorder()), undefined);
    assert.equal(a.counters.get('link_http_refusals', 'too_large'), 1);
  });

  it('carries heads with more headers than a client may send: peers add their own', async () => {
    const lines = HeaderBlock.of(Array.from({ length: 300 }, (_, at) => [`X-${at}`, 'a'] as const));
    b.serve = (request, _envelope, response) => {
      response.head({ ...okResponse, headers: request.headers });
      response.end([]);
      return served;
    };
    const response = new Recorder();
    const request = a.links.openHttp('b', { ...getRequest, headers: lines }, envelope, response);
    request?.end([]);
    await response.until(({ trailers: end, code }) => end !== undefined || code !== undefined);
    assert.equal(response.code, undefined);
    assert.equal(response.heads[0]?.headers.text, lines.text);
  });

  it('resets the exchange of a handler that throws, and only that', async () => {
    b.serve = () => {
      throw new Error('a defect');
    };
    const response = new Recorder();
    ask(response);
    await response.until(({ code }) => code !== undefined);
    assert.equal(response.code, 'broken');
    assert.ok(a.links.isUp('b'));
  });

  /** Sends as fast as the link lets it; `receiver` gives back `sent` minus what it got. */
  class Source {
    sent = 0;
    #isPaused = false;
    #wake: () => void = () => undefined;
    pause(): void {
      this.#isPaused = true;
    }
    resume(): void {
      this.#isPaused = false;
      this.#wake();
    }
    async send(to: RequestReceiver | ResponseReceiver, bytes: number): Promise<void> {
      const chunk = Buffer.alloc(40_000, 7);
      while (this.sent < bytes) {
        const piece = chunk.subarray(0, Math.min(chunk.length, bytes - this.sent));
        this.sent += piece.length;
        to.data(piece);
        if (this.#isPaused) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
      to.end(trailers);
    }
  }

  /** Takes 100 kB, pauses for a turn, and so on; notes how much was ever on its way. */
  class SlowSink {
    got = 0;
    outstandingMax = 0;
    afterPauseMax = 0;
    whenEnded: Promise<void>;
    #ended: () => void = () => undefined;
    #sincePause = 0;
    #isPaused = false;
    readonly #source: Source;
    readonly #peer: () => RequestReceiver | ResponseReceiver;
    constructor(source: Source, peer: () => RequestReceiver | ResponseReceiver) {
      this.#source = source;
      this.#peer = peer;
      this.whenEnded = new Promise((resolve) => {
        this.#ended = resolve;
      });
    }
    data(chunk: Uint8Array): void {
      this.outstandingMax = Math.max(this.outstandingMax, this.#source.sent - this.got);
      this.got += chunk.length;
      this.#sincePause += chunk.length;
      if (this.#isPaused) {
        this.afterPauseMax = Math.max(this.afterPauseMax, this.#sincePause);
      } else if (this.#sincePause > 100_000) {
        this.#isPaused = true;
        this.#sincePause = 0;
        this.#peer().pause();
        setImmediate(() => {
          this.#isPaused = false;
          this.#sincePause = 0;
          this.#peer().resume();
        });
      }
    }
    end(): void {
      this.#ended();
    }
  }

  it('streams 50 MiB both ways at once to slow consumers within the window', async () => {
    const bytes = 50 * 1_048_576;
    const up = new Source();
    const down = new Source();
    const holder: { request?: RequestReceiver } = {};
    const upSink = new SlowSink(up, () => answer);
    const downSink = new SlowSink(down, () => holder.request!);
    const fail = (code: ResetCode): never => assert.fail(code);
    b.serve = (_request, _envelope, response) => {
      answer = response;
      response.head(okResponse);
      // The next turn: the handle must be known to the link first.
      setImmediate(() => void down.send(response, bytes));
      return {
        data: (chunk) => {
          upSink.data(chunk);
        },
        end: () => {
          upSink.end();
        },
        reset: fail,
        pause: () => {
          down.pause();
        },
        resume: () => {
          down.resume();
        },
      };
    };
    holder.request = ask({
      head: () => undefined,
      data: (chunk) => {
        downSink.data(chunk);
      },
      end: () => {
        downSink.end();
      },
      reset: fail,
      pause: () => {
        up.pause();
      },
      resume: () => {
        up.resume();
      },
    });
    await Promise.all([up.send(holder.request, bytes), upSink.whenEnded, downSink.whenEnded]);
    for (const sink of [upSink, downSink]) {
      assert.equal(sink.got, bytes);
      assert.ok(sink.outstandingMax <= linkLimits.exchangeWindowBytes + 40_000);
      assert.ok(sink.afterPauseMax <= linkLimits.exchangeWindowBytes);
    }
  });

  it('stops a sender whose consumer takes nothing', async () => {
    const response = new Recorder();
    const request = ask(response);
    await whenServed;
    answer.pause();
    const chunk = Buffer.alloc(65_536);
    let written = 0;
    while (!response.isPaused) {
      request.data(chunk);
      written += chunk.length;
    }
    assert.equal(written, linkLimits.exchangeWindowBytes);
    await served.until(({ bytes }) => bytes === written);
    answer.resume();
    await response.until(({ isPaused }) => !isPaused);
    request.reset('cancelled');
  });
});
