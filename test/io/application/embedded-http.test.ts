import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderBlock } from '../../../src/http/index.ts';
import type {
  EmbeddedApplication,
  EmbeddedHttpRequest,
  EmbeddedHttpResponse,
} from '../../../src/io/application/module.ts';
import { applicationLimits } from '../../../src/config/defaults.ts';
import { HostBench, HttpClient, envelope } from './embedded-bench.ts';

async function serving(http: EmbeddedApplication['http']): Promise<HostBench> {
  const bench = new HostBench(() => (http === undefined ? {} : { http }));
  await bench.host.start();
  return bench;
}

function answering(response: EmbeddedHttpResponse): Promise<HostBench> {
  return serving(() => response);
}

/** Lets every promise that can settle do so. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

describe('an HTTP exchange with an embedded application', () => {
  it('shows the request and frames a text by its length', async () => {
    let seen: EmbeddedHttpRequest | undefined;
    const bench = await serving((request) => {
      seen = request;
      return { status: 201, headers: [['X-A', 'b']], body: 'grün' };
    });
    const client = await bench.fetch('/a?b=c', [
      ['Host', 'h'],
      ['Cookie', 'A=1; BC=two=2'],
      ['cookie', 'D=4'],
    ]);
    assert.equal(seen?.method, 'GET');
    assert.equal(seen.target, '/a?b=c');
    assert.equal(seen.header('host'), 'h');
    assert.equal(seen.header('missing'), undefined);
    assert.deepEqual(
      ['A', 'BC', 'D', 'C'].map((name) => seen?.cookie(name)),
      ['1', 'two=2', '4', undefined],
    );
    assert.deepEqual(client.heads, [
      {
        status: 201,
        reason: 'Created',
        headers: HeaderBlock.of([['X-A', 'b']]),
        framing: { kind: 'length', bytes: 5 },
      },
    ]);
    assert.equal(client.text, 'grün');
    assert.deepEqual(client.calls, ['head', 'data', 'end']);
  });

  it('gives the asker its handle before the first answer', async () => {
    const bench = await answering({ status: 200 });
    const { client } = bench.open('GET', '/');
    assert.deepEqual(client.calls, []);
    await client.over;
    assert.deepEqual(client.calls, ['head', 'end']);
  });

  it('reads the request body and streams the response body', async () => {
    const bench = await serving((request) => ({
      status: 200,
      body: (async function* () {
        yield Buffer.from('echo ');
        yield* request.body;
      })(),
    }));
    const { client, sender } = bench.open('POST', '/');
    sender.data(Buffer.from('one '));
    await settled();
    sender.data(Buffer.from('two'));
    sender.end([]);
    await client.over;
    assert.deepEqual(client.heads[0]!.framing, { kind: 'chunked' });
    assert.equal(client.text, 'echo one two');
  });

  it('tells a client that asked first to go on, when the module reads and not before', async () => {
    const bench = await serving(async ({ target, body }) => ({
      status: 200,
      body: target === '/read' ? await textOf(body) : 'unread',
    }));
    const expecting: [string, string][] = [['Expect', '100-Continue']];
    const { client, sender } = bench.open('POST', '/read', expecting);
    await settled();
    assert.deepEqual(
      client.heads.map(({ status }) => status),
      [100],
    );
    sender.data(Buffer.from('body'));
    sender.end([]);
    await client.over;
    assert.equal(client.text, 'body');
    for (const [target, headers] of [
      ['/skip', expecting],
      ['/read', []],
    ] as const) {
      const other = bench.open('POST', target, headers);
      other.sender.end([]);
      await other.client.over;
      assert.equal(other.client.heads.length, 1, target);
    }
  });

  it('sends no body to HEAD, but its length, and frees a stream that nobody reads', async () => {
    let isFreed = false;
    const stream = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error('not to be read')),
        return: () => {
          isFreed = true;
          return Promise.resolve({ done: true as const, value: undefined });
        },
      }),
    };
    const bench = await serving(({ target }) => ({
      status: 200,
      body: target === '/stream' ? stream : 'four',
    }));
    const text = await bench.fetch('/text', [], 'HEAD');
    assert.deepEqual(text.heads[0]!.framing, { kind: 'length', bytes: 4 });
    assert.deepEqual(text.calls, ['head', 'end']);
    const streamed = await bench.fetch('/stream', [], 'HEAD');
    assert.deepEqual(streamed.heads[0]!.framing, { kind: 'none' });
    assert.deepEqual(streamed.calls, ['head', 'end']);
    assert.ok(isFreed);
  });

  it('sends no body with 204 and 304', async () => {
    for (const status of [204, 304]) {
      const bench = await answering({ status, body: 'ignored' });
      const client = await bench.fetch('/');
      assert.deepEqual(client.heads[0]!.framing, { kind: 'none' });
      assert.deepEqual(client.calls, ['head', 'end']);
    }
  });

  it('drops framing and connection headers of the module', async () => {
    const bench = await answering({
      status: 200,
      headers: [
        ['Content-Length', '99'],
        ['transfer-encoding', 'chunked'],
        ['Connection', 'close'],
        ['Content-Type', 'text/plain'],
      ],
      body: 'x',
    });
    const client = await bench.fetch('/');
    assert.equal(client.heads[0]!.headers.text, 'Content-Type: text/plain\r\n');
    assert.deepEqual(client.heads[0]!.framing, { kind: 'length', bytes: 1 });
  });

  it('without handler is answered 404', async () => {
    const bench = await serving(undefined);
    assert.equal((await bench.fetch('/')).status, 404);
  });

  it('is refused while the application does not run', async () => {
    const bench = new HostBench(() => ({}));
    const client = new HttpClient();
    const head = {
      method: 'GET',
      target: '/',
      headers: HeaderBlock.empty,
      framing: { kind: 'none' },
    } as const;
    bench.host.serveHttp(head, envelope, client);
    await client.over;
    assert.equal(client.resetCode, 'refused');
  });
});

describe('back-pressure', () => {
  it('stops the response body while the client is paused', async () => {
    let produced = 0;
    const bench = await serving(() => ({
      status: 200,
      body: (async function* () {
        while (produced < 5) {
          await Promise.resolve();
          yield Buffer.from(String(++produced));
        }
      })(),
    }));
    const { client, sender } = bench.open('GET', '/');
    client.onData = () => {
      if (client.text === '12') {
        sender.pause();
      }
    };
    await settled();
    assert.equal(client.text, '12');
    assert.equal(produced, 3, 'the module is asked for one chunk more and then waits');
    sender.resume();
    await client.over;
    assert.equal(client.text, '12345');
  });

  it('cuts large bodies so that a pause takes effect within them', async () => {
    const bench = await answering({ status: 200, body: Buffer.alloc(200_000) });
    const { client, sender } = bench.open('GET', '/');
    client.onData = () => {
      sender.pause();
    };
    await settled();
    assert.deepEqual(
      client.chunks.map(({ length }) => length),
      [65_536],
    );
    client.onData = undefined;
    sender.resume();
    await client.over;
    assert.equal(Buffer.concat(client.chunks).length, 200_000);
  });

  it('holds the client back while the module does not read', async () => {
    let body: AsyncIterable<Uint8Array> | undefined;
    let finish: (() => void) | undefined;
    const bench = await serving(async (request) => {
      body = request.body;
      await new Promise<void>((resolve) => (finish = resolve));
      return { status: 200, body: await textOf(request.body).then(({ length }) => `${length}`) };
    });
    const { client, sender } = bench.open('POST', '/');
    await settled();
    assert.ok(body);
    sender.data(Buffer.alloc(applicationLimits.httpBodyPauseBytes));
    assert.deepEqual(client.calls, []);
    sender.data(Buffer.alloc(1));
    sender.data(Buffer.alloc(1));
    assert.deepEqual(client.calls, ['pause']);
    finish!();
    await settled();
    assert.deepEqual(client.calls, ['pause', 'resume']);
    sender.end([]);
    await client.over;
    assert.equal(client.text, String(applicationLimits.httpBodyPauseBytes + 2));
  });

  it('holds the client back for many small pieces too', async () => {
    let finish: (() => void) | undefined;
    const bench = await serving(async (request) => {
      await new Promise<void>((resolve) => (finish = resolve));
      return { status: 200, body: await textOf(request.body).then(({ length }) => `${length}`) };
    });
    const { client, sender } = bench.open('POST', '/');
    await settled();
    const pieces = applicationLimits.httpBodyPausePieces;
    for (let piece = 0; piece < pieces; piece++) sender.data(Buffer.alloc(1));
    assert.deepEqual(client.calls, []);
    sender.data(Buffer.alloc(1));
    assert.deepEqual(client.calls, ['pause']);
    finish!();
    sender.end([]);
    await client.over;
    assert.deepEqual(client.calls.slice(0, 2), ['pause', 'resume']);
    assert.equal(client.text, String(pieces + 1));
  });

  it('ends an exchange whose client does not heed it', async () => {
    const bench = await serving(() => new Promise(() => undefined));
    const { client, sender } = bench.open('POST', '/');
    sender.data(Buffer.alloc(applicationLimits.httpBodyBytesMax));
    sender.data(Buffer.alloc(1));
    assert.equal(client.resetCode, 'limit');
    assert.equal(bench.counters.get('application_http', 'body-limit'), 1);
  });

  it('lets the rest of a body pass when the module has answered without it', async () => {
    const bench = await answering({ status: 413 });
    const { client, sender } = bench.open('POST', '/');
    sender.data(Buffer.alloc(applicationLimits.httpBodyPauseBytes + 1));
    await client.over;
    sender.data(Buffer.alloc(applicationLimits.httpBodyBytesMax + 1));
    sender.end([]);
    assert.deepEqual(client.calls, ['pause', 'head', 'end', 'resume']);
    assert.equal(client.resetCode, undefined);
  });
});

describe('an HTTP client that goes away', () => {
  it('aborts the signal, ends the body with an error, and gets no answer', async () => {
    let signal: AbortSignal | undefined;
    let readError: unknown;
    const bench = await serving(async (request) => {
      signal = request.signal;
      await textOf(request.body).catch((error: unknown) => (readError = error));
      return { status: 200 };
    });
    const { client, sender } = bench.open('POST', '/');
    await settled();
    sender.reset('cancelled');
    await settled();
    assert.equal(signal?.aborted, true);
    assert.match(String(readError), /went away \(cancelled\)/);
    assert.deepEqual(client.calls, []);
    assert.equal(bench.counters.get('application_http', 'handler-error'), 0);
  });

  it('frees a response stream that waits for it', async () => {
    let isFreed = false;
    const bench = await serving(() => ({
      status: 200,
      body: (async function* () {
        try {
          for (;;) {
            await Promise.resolve();
            yield Buffer.from('x');
          }
        } finally {
          isFreed = true;
        }
      })(),
    }));
    const { client, sender } = bench.open('GET', '/');
    client.onData = () => {
      sender.pause();
    };
    await settled();
    assert.equal(client.text, 'x');
    sender.reset('broken');
    await settled();
    assert.ok(isFreed);
    assert.deepEqual(client.calls, ['head', 'data']);
  });
});

describe('an HTTP handler that errs', () => {
  const bad: readonly (readonly [name: string, http: NonNullable<EmbeddedApplication['http']>])[] =
    [
      [
        'throws',
        () => {
          throw new Error('planned');
        },
      ],
      ['rejects', () => Promise.reject(new Error('planned'))],
      [
        'writes a line break into a header',
        () => ({ status: 200, headers: HeaderBlock.of([['X', 'a\r\nb']]) }),
      ],
      [
        'writes a header name that is none',
        () => ({ status: 200, headers: HeaderBlock.of([['X Y', 'a']]) }),
      ],
      ['gives no final status', () => ({ status: 101 })],
    ];
  for (const [name, http] of bad) {
    it(`that ${name} becomes a plain 500`, async () => {
      const bench = await serving(http);
      const client = await bench.fetch('/');
      assert.equal(client.status, 500);
      assert.equal(client.text, 'Internal Server Error\n');
      assert.equal(bench.counters.get('application_http', 'handler-error'), 1);
      assert.match(bench.logs.join(), /^error: the application failed on HTTP GET/);
    });
  }

  it('that fails within its body breaks the exchange', async () => {
    const bench = await serving(() => ({
      status: 200,
      body: (async function* () {
        yield await Promise.resolve(Buffer.from('x'));
        throw new Error('planned');
      })(),
    }));
    const client = await bench.fetch('/');
    assert.deepEqual(client.calls, ['head', 'data', 'reset']);
    assert.equal(client.resetCode, 'broken');
  });
});

describe('the host’s HTTP exchanges', () => {
  it('are bounded', async () => {
    const bench = await serving(() => new Promise(() => undefined));
    for (let count = 0; count < applicationLimits.httpExchangesMax; count++) {
      bench.open('GET', '/');
    }
    const client = await bench.fetch('/');
    assert.equal(client.status, 503);
    assert.equal(bench.counters.get('application_http', 'exchange-limit'), 1);
  });

  it('are broken by a stop', async () => {
    let signal: AbortSignal | undefined;
    const bench = await serving((request) => {
      signal = request.signal;
      return new Promise(() => undefined);
    });
    const { client } = bench.open('GET', '/');
    await settled();
    await bench.host.stop();
    assert.equal(client.resetCode, 'broken');
    assert.equal(signal?.aborted, true);
  });
});
