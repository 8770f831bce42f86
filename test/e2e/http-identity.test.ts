import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { Client } from 'undici';
import { openBrowser } from '../support/browser.ts';
import { metric } from '../support/cluster.ts';
import { curl } from '../support/http-curl.ts';
import { Doors, doors, type Asked, type Door } from '../support/http-doors.ts';
import { echoesIn, eventsIn, fetchIn, type Fetched } from '../support/http-page.ts';
import {
  comparable,
  comparableAcrossVersions,
  comparableView,
  comparableViewAcrossVersions,
  type Seen,
} from '../support/http-seen.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);

const mib = 2 ** 20;
const block = Buffer.from(Array.from({ length: mib }, (_, at) => (at * 17 + (at >> 8)) & 0xff));
const pieces = (count: number): Readable =>
  Readable.from(Array.from({ length: count }, () => block));

interface Case {
  readonly what: string;
  readonly asked: Asked | (() => Asked);
  /** That the feature is there at all. */
  readonly has?: (seen: Seen) => boolean;
}

const get = (path: string, headers: Readonly<Record<string, string>> = {}): Asked => ({
  method: 'GET',
  path,
  headers,
});

/** Answers that must be the same at every door. */
const answers: readonly Case[] = [
  { what: 'JSON', asked: get('/json'), has: ({ body }) => body.includes('grüße') },
  {
    what: 'fields twice, empty and in latin1, and a reason of its own',
    asked: get('/headers'),
    has: ({ reason }) => reason === 'Just Fine',
  },
  {
    what: 'many cookies',
    asked: get('/cookies'),
    has: ({ headers }) => headers.filter(([name]) => name === 'set-cookie').length === 5,
  },
  { what: 'early hints', asked: get('/hints'), has: ({ interim }) => interim.length === 2 },
  {
    what: 'chunks with trailers',
    asked: get('/chunks'),
    has: ({ trailers }) => trailers.length === 2,
  },
  { what: '204', asked: get('/nothing'), has: ({ status }) => status === 204 },
  { what: '304', asked: get('/fresh'), has: ({ status }) => status === 304 },
  {
    what: 'HEAD',
    asked: { method: 'HEAD', path: '/file' },
    has: ({ headers }) => headers.some(([, value]) => value === '100000'),
  },
  { what: '404', asked: get('/not/there'), has: ({ status }) => status === 404 },
  {
    what: 'a range',
    asked: get('/file', { range: 'bytes=500-1499' }),
    has: ({ status }) => status === 206,
  },
  {
    what: 'a range beyond',
    asked: get('/file', { range: 'bytes=900000-900001' }),
    has: ({ status }) => status === 416,
  },
  {
    what: 'gzip',
    asked: get('/gzip', { 'accept-encoding': 'gzip' }),
    has: ({ body }) => body[0] === 0x1f && body[1] === 0x8b,
  },
  { what: 'br', asked: get('/br', { 'accept-encoding': 'br' }) },
  {
    what: '10 MiB down',
    asked: get(`/body?bytes=${10 * mib}`),
    has: ({ body }) => body.length === 10 * mib,
  },
  { what: 'an empty body', asked: get('/body?bytes=0'), has: ({ body }) => body.length === 0 },
  {
    what: '1 MiB there and back',
    asked: { method: 'POST', path: '/echo', body: block },
    has: ({ body }) => body.equals(block),
  },
  {
    what: '8 MiB in chunks there and back',
    asked: () => ({ method: 'PUT', path: '/echo', body: pieces(8) }),
    has: ({ body }) => body.length === 8 * mib,
  },
  { what: '8 MiB up', asked: () => ({ method: 'POST', path: '/digest', body: pieces(8) }) },
];

/** Requests that must look the same to the application at every door. */
const requests: readonly (readonly [what: string, asked: Asked])[] = [
  ['an encoded slash', get('/view/a%2Fb%2fc')],
  ['empty segments', get('/view//x//')],
  ['path parameters', get('/view/x;a=b;c/y;=')],
  ['an empty query', get('/view/x?')],
  ['a query with everything', get('/view?a=b&a=c&&=%20+%zz?&x=/../%2e')],
  ['dot segments', get('/view/a/../b/./%2e%2e/c')],
  ['8 KiB of target', get(`/view?x=${'y'.repeat(8_192 - 8)}`)],
  ['PUT', { method: 'PUT', path: '/view', body: 'put' }],
  ['PUT without body', { method: 'PUT', path: '/view' }],
  ['PATCH', { method: 'PATCH', path: '/view', body: 'patch' }],
  ['POST without body', { method: 'POST', path: '/view' }],
  ['DELETE', { method: 'DELETE', path: '/view/1' }],
  ['DELETE with body', { method: 'DELETE', path: '/view/1', body: 'delete' }],
  [
    'fields in latin1, empty and in lists',
    get('/view', { 'X-Name': 'caf\xe9 \xff', 'X-Empty': '', 'If-Match': '"a", "b"' }),
  ],
];

const continues = ['-H', 'Expect: 100-continue', '--expect100-timeout', '50'];

/** What curl asks for beside the answers above; `UPLOAD` stands for a file of 1 MiB. */
const curlRequests: readonly (readonly [path: string, ...args: string[]])[] = [
  ['/file', '--head'],
  ['/until-closed'],
  ['/view/a%2Fb//x;y=z/../q?', '-X', 'DELETE'],
  ['/echo', '-T', 'UPLOAD'],
  ['/echo', '-T', 'UPLOAD', '-H', 'Transfer-Encoding: chunked'],
  ['/echo', '-T', 'UPLOAD', ...continues],
  ['/echo?refused', '-T', 'UPLOAD', ...continues],
  ['/json', '--http1.0'],
];

/** What a page asks for. */
const fetches: readonly Fetched[] = [
  ...['/json', '/headers', '/chunks', '/nothing', '/gzip', '/br', '/hints', '/until-closed'].map(
    (path): Fetched => ({ path, method: 'GET' }),
  ),
  { path: '/file', method: 'HEAD' },
  { path: '/file', method: 'GET', headers: { range: 'bytes=10-20' } },
  { path: `/body?bytes=${3 * mib}`, method: 'GET' },
  { path: '/echo', method: 'POST', bodyBytes: mib },
  { path: '/digest', method: 'PUT', bodyBytes: mib / 2 },
  { path: '/not/there', method: 'PATCH', bodyBytes: 10 },
  { path: '/not/there', method: 'DELETE' },
];

describe('What passes through one peer and through two', { timeout: 120_000 }, () => {
  it('is what passes without', async (t) => {
    const all = await Doors.open(t, { http2: true });
    await t.test('though it passes through both', () => passesThroughBoth(all));
    for (const { what, asked, has } of answers)
      await t.test(`undici gets ${what}`, () =>
        all.same(async (door) => {
          const seen = await all.ask(door, typeof asked === 'function' ? asked() : asked);
          assert.ok(has?.(seen) ?? seen.status === 200, `${seen.status} ${seen.body.toString()}`);
          return comparable(seen);
        }),
      );
    for (const [what, asked] of requests)
      await t.test(`the application gets ${what}`, () =>
        all.same(async (door) => {
          const { status, body } = await all.ask(door, asked);
          assert.equal(status, 200);
          return comparableView(body.toString());
        }),
      );
    await t.test('pipelined requests are answered in order', () => pipelined(all));
    await t.test('a target above 8 KiB gets 414', () => tooLong(all));
    await t.test('events come one by one', () => eventByEvent(all));
    await t.test('curl gets the same', (each) => byCurl(each, all));
    await t.test('curl gets the same by HTTP/2', (each) => byCurlInHttp2(each, all));
    await t.test('h2load gets the same by HTTP/2', (each) => byH2load(each, all));
    await t.test('Chromium gets the same', (each) => byChromium(each, all));
  });
});

async function passesThroughBoth(all: Doors): Promise<void> {
  const { body } = await all.ask('through two peers', get('/view'));
  const { rawHeaders } = JSON.parse(body.toString()) as { rawHeaders: string[] };
  const at = rawHeaders.indexOf('proxy-beroute');
  assert.equal(rawHeaders[at + 1], all.peers[0].name);
  const routed = await metric(
    `http://${all.peers[1].admin}`,
    'sailring_http_routed_total',
    'stamp',
  );
  assert.equal(routed, 1);
}

function pipelined(all: Doors): Promise<void> {
  return all.same(async (door) => {
    const ended: number[] = [];
    await Promise.all(
      Array.from({ length: 24 }, async (_, at) => {
        const { body } = await all.ask(door, { ...get(`/view/${at}`), blocking: false });
        assert.equal((JSON.parse(body.toString()) as { url: string }).url, `/view/${at}`);
        ended.push(at);
      }),
    );
    return ended;
  });
}

async function tooLong(all: Doors): Promise<void> {
  for (const door of doors.slice(1)) {
    const { status } = await all.ask(door, get(`/view?x=${'y'.repeat(8_192 - 7)}`));
    assert.equal(status, 414, door);
  }
}

function eventByEvent(all: Doors): Promise<void> {
  return all.same(async (door) => {
    const path = `/events/${randomUUID()}`;
    const client = new Client(all.origin(door));
    const headers = { cookie: all.cookie };
    const { body } = await client.request({ method: 'GET', path, headers });
    let text = '';
    let events = 0;
    for await (const piece of body) {
      text += String(piece);
      // The next event is not sent before this one has come.
      while (text.split('\n\n').length - 1 > events) {
        events += 1;
        const event = events < 20 ? events : -1;
        await all.ask(door, { method: 'POST', path, body: JSON.stringify({ event }) });
      }
    }
    assert.equal(events, 20);
    return text;
  });
}

async function byCurl(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('curl', t)) return;
  const upload = await uploadFile(t);
  for (const [path, ...args] of [...simpleRequests(), ...curlRequests])
    await all.same(async (door) => {
      const seen = await curlAt(all, door, upload, [path, ...args]);
      if (args.includes(continues[1]!)) {
        const statuses = [...seen.interim.map((one) => one.status), seen.status];
        assert.deepEqual(statuses, path.endsWith('?refused') ? [403] : [100, 200]);
      }
      if (path === '/headers') assert.deepEqual(seen.headers[1], ['x-other', 'caf\xe9 \xfc\xff']);
      // What ends with its connection is given in chunks, so that its end is seen to be one.
      if (path === '/until-closed') return seen.body.toString();
      return path.startsWith('/view') ? comparableView(seen.body.toString()) : comparable(seen);
    });
}

/** The application speaks HTTP/1.1 all the same. Of its trailers curl tells in HTTP/2 alone. */
async function byCurlInHttp2(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('curl', t)) return;
  const upload = await uploadFile(t);
  const others = curlRequests.filter((args) => !args.includes('--http1.0') && !args.includes('-H'));
  for (const [path, ...args] of [...simpleRequests(), ...others])
    await all.same(async (door) => {
      const version = door === 'straight' ? [] : ['--http2-prior-knowledge'];
      const seen = await curlAt(all, door, upload, [path, ...args, ...version]);
      if (path === '/chunks' && door !== 'straight') {
        const checksum = ['x-checksum', '2015744983'];
        assert.deepEqual(seen.trailers, [checksum, ['x-other-end', 'caf\xe9']]);
      }
      return path.startsWith('/view')
        ? comparableViewAcrossVersions(seen.body.toString())
        : comparableAcrossVersions({ ...seen, trailers: [] });
    });
}

function simpleRequests(): [path: string][] {
  return answers.flatMap(({ asked }): [string][] =>
    typeof asked === 'object' && asked.method === 'GET' ? [[asked.path]] : [],
  );
}

/** A file of 1 MiB. */
async function uploadFile(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-identity-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'upload');
  await writeFile(file, block);
  return file;
}

function curlAt(
  all: Doors,
  door: Door,
  upload: string,
  [path, ...args]: readonly [path: string, ...args: string[]],
): Promise<Seen> {
  const given = args.map((arg) => (arg === 'UPLOAD' ? upload : arg));
  const always = ['-H', `Host: ${all.host}`, '-H', `Cookie: ${all.cookie}`];
  return curl(all.origin(door) + path, [...always, ...given]);
}

async function byH2load(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('h2load', t)) return;
  const [requestsCount, bodyBytes] = [2_000, 10_000];
  for (const door of doors.slice(1)) {
    const { stdout } = await run('h2load', [
      ...['-n', String(requestsCount), '-c', '4', '-m', '20', '-H', `cookie: ${all.cookie}`],
      `${all.origin(door)}/body?bytes=${bodyBytes}`,
    ]);
    assert.match(stdout, new RegExp(`^requests: .* ${requestsCount} succeeded, 0 failed`, 'm'));
    assert.match(stdout, new RegExp(`^status codes: ${requestsCount} 2xx`, 'm'));
    const data = /\((\d+)\) data$/m.exec(stdout)?.[1];
    assert.equal(Number(data), requestsCount * bodyBytes, stdout);
  }
}

async function byChromium(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('chromium', t)) return;
  const browser = await openBrowser(t);
  const context = await browser.newContext();
  await context.addCookies(
    all.cookie.split('; ').map((cookie) => {
      const [name = '', ...value] = cookie.split('=');
      return { name, value: value.join('='), domain: '127.0.0.1', path: '/' };
    }),
  );
  const page = await context.newPage();
  await all.same(async (door) => {
    await page.goto(`${all.origin(door)}/page`);
    const seen = [];
    for (const fetched of fetches) seen.push(await fetchIn(page, fetched));
    assert.ok(seen.every(({ status }) => status < 500));
    const events = await eventsIn(page, `/events/${randomUUID()}`, 20);
    const echoes = await echoesIn(page, '/socket', ['one', 'grüße', 'x'.repeat(100_000)]);
    assert.deepEqual([events.length, echoes.length], [20, 3]);
    return [seen, events, echoes];
  });
}
