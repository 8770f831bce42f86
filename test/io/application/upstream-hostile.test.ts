import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { RawClient, startRawOrigin, startRig } from '../http/http-rig.ts';
import { until } from '../http/listener-parts.ts';

/** What the server does behind its bytes. */
type Then = 'keep' | 'end' | 'reset';
/** What the client must see: 502, the whole body given, or a connection that breaks. */
type Sees = '502' | 'broken' | { readonly body: string; readonly status?: number };

interface Case {
  readonly why: string;
  readonly answer: string;
  readonly sees: Sees;
  readonly method?: string;
  readonly then?: Then;
  /** Bytes behind the response: they can only be told from the next one if they come with it. */
  readonly isOnePiece?: boolean;
}

const second = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond';
const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
const head = (headers: string): string => `HTTP/1.1 200 OK\r\n${headers}\r\n`;
const length = (value: string): string => `${head(`Content-Length: ${value}\r\n`)}ok`;
const coded = (value: string): string =>
  `${head(`Transfer-Encoding: ${value}\r\n`)}2\r\nok\r\n0\r\n\r\n`;
const chunks = (text: string): string => head('Transfer-Encoding: chunked\r\n') + text;
const line = (text: string): string => `${text}\r\nContent-Length: 2\r\n\r\nok`;
const cases = (
  sees: Sees,
  all: Readonly<Record<string, string>>,
  more: Partial<Case> = {},
): Case[] => Object.entries(all).map(([why, answer]) => ({ why, answer, sees, ...more }));

const unreadable: readonly Case[] = [
  ...cases('502', {
    'a length and a coding': `${head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n')}0\r\n\r\n`,
    'two lengths': `${head('Content-Length: 2\r\nContent-Length: 40\r\n')}ok`,
    'two equal lengths': `${head('Content-Length: 2\r\nContent-Length: 2\r\n')}ok`,
    'a list of lengths': length('2, 2'),
    'a signed length': length('+2'),
    'a negative length': length('-1'),
    'a hexadecimal length': length('0x2'),
    'an empty length': length(''),
    'a length beyond 2^64': length('18446744073709551618'),
    'a blank before the colon': `${head('Content-Length : 2\r\n')}ok`,
    'an unknown coding': coded('xchunked'),
    'a coding that is not chunked': coded('gzip'),
    'chunked twice': coded('chunked, chunked'),
    'chunked not last': coded('chunked, identity'),
    identity: coded('identity'),
    'a vertical tab before chunked': coded('\x0bchunked'),
    'chunks in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'line feeds alone': 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
    'one line feed alone': 'HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok',
    'a header behind a bare CR': head('X: a\rContent-Length: 2\r\n'),
    'a folded header': head('X: a\r\n b\r\nContent-Length: 0\r\n'),
    'a NUL in a header': head('X: a\0b\r\nContent-Length: 0\r\n'),
    'a line without colon': head('garbage\r\nContent-Length: 0\r\n'),
    'an empty line first': `\r\n${length('2')}`,
    'no HTTP': 'SSH-2.0-x\r\n\r\n',
    'HTTP/2': line('HTTP/2 200'),
    'HTTP/2.0': line('HTTP/2.0 200 OK'),
    'HTTP/0.9': '<html>\r\n\r\n',
    'small letters': line('http/1.1 200 OK'),
    'another name': line('ICY 200 OK'),
    'two blanks': line('HTTP/1.1  200 OK'),
    'two digits': line('HTTP/1.1 20 OK'),
    'four digits': line('HTTP/1.1 2000 OK'),
    'a status below 100': line('HTTP/1.1 099 OK'),
    'a NUL in the reason': line('HTTP/1.1 200 O\0K'),
    'a protocol nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI',
    'a head too large': head(`X: ${'a'.repeat(66_000)}\r\n`),
    'too many headers': head('X: a\r\n'.repeat(129)),
  }),
  ...cases(
    '502',
    {
      'nothing at all': '',
      'half a status line': 'HTTP/1.1 20',
      'half a head': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n',
      'an interim head alone': 'HTTP/1.1 103 Early Hints\r\n\r\n',
    },
    { then: 'end' },
  ),
  { why: 'half a head and a reset', answer: 'HTTP/1.1 200 OK\r\n', sees: '502', then: 'reset' },
  {
    why: 'a HEAD with length and coding',
    answer: head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n'),
    sees: '502',
    method: 'HEAD',
  },
  ...cases('502', {
    '204 with two lengths':
      'HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n',
    '304 with a bad coding': 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: x\r\n\r\n',
  }),
];

const halved: readonly Case[] = [
  ...cases('broken', {
    'no size': chunks('\r\nok\r\n0\r\n\r\n'),
    'a blank behind the size': chunks('2 \r\nok\r\n0\r\n\r\n'),
    'a size in 0x': chunks('0x2\r\nok\r\n0\r\n\r\n'),
    'a size ended by LF': chunks('2\nok\r\n0\r\n\r\n'),
    'a size beyond 64 bits': chunks('10000000000000002\r\nok\r\n0\r\n\r\n'),
    'data longer than its size': chunks('2\r\nokay\r\n0\r\n\r\n'),
    'data ended by LF': chunks('2\r\nok\n0\r\n\r\n'),
    'an LF in an extension': chunks('2;\nxx\r\n0\r\n\r\n'),
    'a trailer that is none': chunks('2\r\nok\r\n0\r\ngarbage\r\n\r\n'),
    'a folded trailer': chunks('2\r\nok\r\n0\r\nX: a\r\n b\r\n\r\n'),
    'another response in the trailers': chunks(`2\r\nok\r\n0\r\n${evil}`),
    'trailers without end': chunks(`2\r\nok\r\n0\r\nX: ${'a'.repeat(17_000)}`),
  }),
  ...(['end', 'reset'] as const).flatMap((then) =>
    cases(
      'broken',
      {
        [`half a length, then ${then}`]: `${head('Content-Length: 9\r\n')}half`,
        [`no byte of a length, then ${then}`]: head('Content-Length: 9\r\n'),
        [`half a chunk, then ${then}`]: chunks('9\r\nhalf'),
        [`no last chunk, then ${then}`]: chunks('4\r\nhalf\r\n'),
        [`the last chunk without its end, then ${then}`]: chunks('4\r\nhalf\r\n0\r\n'),
        [`half a trailer, then ${then}`]: chunks('4\r\nhalf\r\n0\r\nX: a'),
      },
      { then },
    ),
  ),
  {
    why: 'a body without length, then reset',
    answer: `${head('')}half`,
    sees: 'broken',
    then: 'reset',
  },
];

const whole: readonly Case[] = [
  ...cases(
    { body: 'ok' },
    {
      'a length': length('2'),
      'leading zeros': length('002'),
      'no reason': line('HTTP/1.1 200'),
      'an 8-bit reason': line('HTTP/1.1 200 d\xe9j\xe0'),
      'an 8-bit header': `${head('X: \xe9\r\nContent-Length: 2\r\n')}ok`,
      chunks: coded('chunked'),
      'chunks with extensions': chunks('1;a="b"\r\no\r\n1\r\nk\r\n0;c\r\n\r\n'),
      'chunks in capitals': coded('CHUNKED'),
      'trailers that would reframe': chunks(
        '2\r\nok\r\n0\r\nContent-Length: 9\r\nSet-Cookie: BEROUTE=x\r\nTransfer-Encoding: x\r\n\r\n',
      ),
      'Connection that names the framing': `${head('Connection: Content-Length\r\nContent-Length: 2\r\n')}ok`,
      '100 that nobody waits for': `HTTP/1.1 100 Continue\r\n\r\n${length('2')}`,
      'an interim head with a length': `HTTP/1.1 103 Hints\r\nContent-Length: 9\r\n\r\n${length('2')}`,
      'interim heads by the thousand': `${'HTTP/1.1 102 Processing\r\n\r\n'.repeat(1_000)}${length('2')}`,
    },
  ),
  ...cases(
    { body: 'ok' },
    {
      'the end of the connection': `${head('')}ok`,
      'the end of HTTP/1.0': 'HTTP/1.0 200 OK\r\n\r\nok',
    },
    { then: 'end' },
  ),
  ...cases(
    { body: 'ok' },
    {
      'bytes behind a length': `${length('2')}evil`,
      'a response behind a length': length('2') + evil,
      'a response behind chunks': coded('chunked') + evil,
    },
    { isOnePiece: true },
  ),
  ...cases(
    { body: '' },
    { 'HEAD with a body': length('2'), 'HEAD with chunks': coded('chunked') },
    { method: 'HEAD', isOnePiece: true },
  ),
  ...[204, 304].map((status): Case => ({
    why: `${status} with a body`,
    answer: `HTTP/1.1 ${status} X\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`,
    sees: { body: '', status },
    isOnePiece: true,
  })),
];

/** A server that answers `/1` as the case has it and everything else well. */
async function startHostile(t: TestContext, known: Case, isBytewise: boolean): Promise<number> {
  const answer = async (socket: Socket): Promise<void> => {
    const bytes = Buffer.from(known.answer, 'latin1');
    const step = isBytewise ? 1 : bytes.length;
    for (let at = 0; at < bytes.length && !socket.destroyed; at += step) {
      socket.write(bytes.subarray(at, at + step));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (known.then === 'end') socket.end();
    // A reset overtakes what the other side has not read.
    if (known.then === 'reset') setImmediate(() => socket.resetAndDestroy());
  };
  return startRawOrigin(t, (socket) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const isFirst = text.split(' ', 2)[1] === '/1';
      text = text.slice(end + 4);
      if (isFirst) void answer(socket);
      else socket.write(second);
    });
  });
}

/** Status and body by the client of another author; undefined when it takes it for incomplete. */
async function byNode(
  port: number,
  method: string,
): Promise<{ status: number; body: string } | undefined> {
  return new Promise((resolve) => {
    const request = httpRequest({ host: '127.0.0.1', port, method, path: '/1', agent: false });
    request.on('error', () => {
      resolve(undefined);
    });
    request.on('response', (response) => {
      let body = '';
      response.on('data', (bytes: Buffer) => (body += bytes.toString('latin1')));
      response.on('error', () => undefined);
      response.on('close', () => {
        resolve(response.complete ? { status: response.statusCode ?? 0, body } : undefined);
      });
    });
    request.end();
  });
}

async function check(t: TestContext, known: Case, isBytewise: boolean): Promise<void> {
  const { method = 'GET', sees } = known;
  const origin = await startHostile(t, known, isBytewise);
  const rig = await startRig(t, { instances: { p1: origin } });
  const seen = await byNode(rig.port, method);
  const client = new RawClient(t, rig.port);
  client.send(`${method} /1 HTTP/1.1\r\nHost: a\r\n\r\n`);
  client.send('GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const text = await client.end();
  assert.doesNotMatch(text, /evil/);
  if (sees === 'broken') {
    assert.equal(seen, undefined);
    assert.equal(client.hasError, true, 'the client sees that it broke');
    assert.doesNotMatch(text, /second|\r\n0\r\n/);
    return;
  }
  const expected =
    sees === '502' ? { status: 502, body: '502 Bad Gateway\n' } : { status: 200, ...sees };
  assert.deepEqual(seen, method === 'HEAD' ? { ...expected, body: '' } : expected);
  assert.match(
    text,
    new RegExp(`^(?:HTTP/1.1 10[023] [^]*?\\r\\n\\r\\n)*HTTP/1.1 ${expected.status} `),
  );
  assert.equal(text.match(/HTTP\/1\.1 [2-5]/g)?.length, 2, 'two answers for two requests');
  assert.match(text, /\r\n\r\nsecond$/);
  assert.equal(rig.counters.get('http_defects', 'connection'), 0);
}

for (const [title, list] of [
  ['an answer that can be read in more than one way, or in none, is 502', unreadable],
  ['half a body never passes for a whole one', halved],
  ['a whole answer is passed on, and nothing behind it', whole],
] as const) {
  describe(title, { concurrency: 4 }, () => {
    for (const known of list) {
      it(known.why, { timeout: 10_000 }, async (t) => {
        await check(t, known, false);
        if (known.isOnePiece !== true && known.answer.length < 20_000) await check(t, known, true);
      });
    }
  });
}

describe('a server that goes on talking', () => {
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

  it("while nobody asks loses its connection; its words are nobody's answer", async (t) => {
    const sockets: Socket[] = [];
    const origin = await startRawOrigin(t, (socket) => {
      sockets.push(socket);
      socket.on('data', () => socket.write(second));
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.send(get('/1'));
    await client.until(/second$/);
    sockets[0]!.write(evil);
    await until(() => rig.counters.get('http_upstream', 'unasked') === 1);
    client.send(get('/2'));
    assert.doesNotMatch(await client.until(/second[^]+second$/), /evil/);
    assert.equal(sockets.length, 2);
  });

  /** Writes interim heads for as long as they are taken. @returns how many bytes were taken */
  function flood(socket: Socket): () => number {
    const heads = Buffer.from('HTTP/1.1 102 Processing\r\n\r\n'.repeat(500));
    const more = (): void => {
      while (!socket.destroyed && socket.write(heads));
    };
    socket.on('drain', () => setImmediate(more));
    socket.once('data', more);
    return () => socket.bytesWritten - socket.writableLength;
  }

  it('in interim heads without end has the time of a response: 504', async (t) => {
    const origin = await startRawOrigin(t, (socket) => {
      flood(socket);
    });
    const rig = await startRig(t, {
      instances: { p1: origin },
      listener: { timeouts: { sweepIntervalMs: 5, responseMs: 60 } },
    });
    const client = new RawClient(t, rig.port);
    client.send('GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await until(() => client.isClosed);
    assert.match(
      client.text.slice(-200),
      /HTTP\/1\.1 504 Gateway Timeout\r\n[^]*504 Gateway Timeout\n$/,
    );
    assert.equal(rig.counters.get('http_timeouts', 'response'), 1);
    await until(() => rig.upstreams.get('p1')!.connections === 0);
  });

  it('in interim heads to a client that takes none is held back', async (t) => {
    let taken = (): number => 0;
    const origin = await startRawOrigin(t, (socket) => {
      taken = flood(socket);
    });
    const rig = await startRig(t, { instances: { p1: origin } });
    const client = new RawClient(t, rig.port);
    client.socket.pause();
    client.send(get('/1'));
    let before = -1;
    let most = 0;
    // Taken no more over many turns: all buffers between are full.
    for (let still = 0; still < 500; still++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (taken() !== before) still = 0;
      before = taken();
      most = Math.max(most, rig.listener.bufferedBytes);
    }
    assert.ok(before > 0);
    assert.ok(most > 0 && most < 524_288, `${most} bytes were held`);
  });
});
