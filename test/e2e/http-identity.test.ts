import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Browser, BrowserContext } from 'playwright-core';
import { openBrowser } from '../support/browser.ts';
import { metric } from '../support/cluster.ts';
import {
  answers,
  block,
  continues,
  curlRequests,
  fetches,
  get,
  requests,
  tooLong,
} from '../support/http-cases.ts';
import { curl } from '../support/http-curl.ts';
import { Doors, doors, ways, type Door, type Way } from '../support/http-doors.ts';
import { closeByWs, echoesByWs } from '../support/http-echoes.ts';
import { echoesIn, eventsIn, fetchIn, viewIn } from '../support/http-page.ts';
import { siteName, startSite } from '../support/http-site.ts';
import { sendWithTrailers } from '../support/http-trailers.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);

describe('What passes through one peer and through two', { timeout: 240_000 }, () => {
  it('is what passes without', async (t) => {
    const site = await startSite(t);
    for (const way of ways)
      await t.test(`by ${way.name}`, async (each) => {
        if (way.scheme === 'https' && !requireTool('openssl', each)) return;
        await passes(each, await Doors.open(each, site, way));
      });
  });
});

async function passes(t: TestContext, all: Doors): Promise<void> {
  const { version, source } = all.way;
  await t.test('though it passes through both', () => passesThroughBoth(all));
  await byUndici(t, all);
  await t.test('a body waits for its 100, and trailers follow it', () => trailersUp(all));
  await t.test('requests at one time get an answer each', () => atOneTime(all));
  await t.test('a target above 8 KiB gets 414', () => refusesTooLong(all));
  await t.test('events come one by one', (each) => eventByEvent(each, all));
  await t.test('a new session gets stamps, which TLS makes Secure', () => newSession(all));
  await t.test('curl gets the same', (each) => byCurl(each, all));
  if (version === '1.1') await t.test('WebSockets get the same', (each) => byWs(each, all));
  if (source !== undefined) return;
  await t.test('h2load gets the same', (each) => byH2load(each, all));
  if (isForBrowsers(all.way))
    await t.test('Chromium gets the same', (each) => byChromium(each, all));
}

async function passesThroughBoth(all: Doors): Promise<void> {
  const { owner, other } = all.site;
  const byStamp = (): Promise<number[]> =>
    Promise.all(
      [owner, other].map(({ process }) =>
        metric(`http://${process.admin}`, 'sailring_http_routed_total', 'stamp'),
      ),
    );
  const [ownersBefore = 0, othersBefore = 0] = await byStamp();
  const { body } = await all.ask('through two peers', get('/view'));
  // It says whose instance it was for, among other things.
  all.comparableView('through two peers', body.toString());
  assert.deepEqual(await byStamp(), [ownersBefore, othersBefore + 1]);
}

async function byUndici(t: TestContext, all: Doors): Promise<void> {
  for (const { what, asked, has } of answers)
    await t.test(`undici gets ${what}`, () =>
      all.same(async (door) => {
        const seen = await all.ask(door, typeof asked === 'function' ? asked() : asked);
        assert.ok(has?.(seen) ?? seen.status === 200, `${seen.status} ${seen.body.toString()}`);
        return all.comparable(door, seen);
      }, `the answer ${what}`),
    );
  for (const [what, asked] of requests)
    await t.test(`the application gets ${what}`, () =>
      all.same(async (door) => {
        const { status, body } = await all.ask(door, asked);
        assert.equal(status, 200);
        return all.comparableView(door, body.toString());
      }, `the request ${what}`),
    );
}

function trailersUp(all: Doors): Promise<void> {
  return all.same(async (door) => {
    const { status, body } = await sendWithTrailers(all, door);
    assert.equal(status, 200);
    assert.equal((JSON.parse(body) as { rawTrailers: string[] }).rawTrailers.length, 4);
    return all.comparableView(door, body);
  });
}

/** In HTTP/1.1 the requests are pipelined, and their answers come in order. */
function atOneTime(all: Doors): Promise<void> {
  return all.same(async (door) => {
    const ended: number[] = [];
    await Promise.all(
      Array.from({ length: 24 }, async (_, at) => {
        const { body } = await all.ask(door, { ...get(`/view/${at}`), blocking: false });
        assert.equal((JSON.parse(body.toString()) as { url: string }).url, `/view/${at}`);
        ended.push(at);
      }),
    );
    return all.way.version === '2' ? ended.length : ended;
  });
}

async function refusesTooLong(all: Doors): Promise<void> {
  for (const door of doors.slice(1)) {
    const { status } = await all.ask(door, tooLong);
    assert.equal(status, 414, door);
  }
}

function eventByEvent(t: TestContext, all: Doors): Promise<void> {
  return all.same(async (door) => {
    const path = `/events/${randomUUID()}`;
    const headers = { host: siteName, cookie: all.site.cookie };
    const { body } = await all.client(t, door).request({ method: 'GET', path, headers });
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

async function newSession(all: Doors): Promise<void> {
  const secure = all.way.scheme === 'https' ? '; Secure' : '';
  const attributes = `; Path=/; HttpOnly; SameSite=Lax${secure}`;
  for (const door of doors.slice(1)) {
    const set = await all.setCookies(door, '/session');
    // The application's own one is as it made it.
    assert.match(set[0] ?? '', /^JSESSIONID=app-\d-\d+-\d+; Path=\/; HttpOnly$/);
    const stamps = set.slice(1).map((line) => line.replace(/^(\w+)=[^;]+/, '$1'));
    assert.deepEqual(stamps, [`BEKEY${attributes}`, `BEROUTE${attributes}`], door);
  }
}

async function byCurl(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('curl', t)) return;
  const folder = await mkdtemp(join(tmpdir(), 'sailring-identity-'));
  t.after(() => rm(folder, { recursive: true }));
  const upload = join(folder, 'upload');
  await writeFile(upload, block);
  const isHttp2 = all.way.version === '2';
  // In HTTP/2 there are no chunks, and curl waits for no 100.
  const asked = curlRequests.filter(
    (args) => !isHttp2 || (!args.includes('--http1.0') && !args.includes('-H')),
  );
  for (const [path, ...args] of asked)
    await all.same(
      (door) =>
        curlAt(
          all,
          door,
          path,
          args.map((arg) => (arg === 'UPLOAD' ? upload : arg)),
        ),
      `curl ${[path, ...args].join(' ')}`,
    );
}

const curlVersions: Readonly<Record<Way['version'], string>> = {
  '1.1': '--http1.1',
  '2': '--http2-prior-knowledge',
};

async function curlAt(
  all: Doors,
  door: Door,
  path: string,
  args: readonly string[],
): Promise<unknown> {
  const { scheme, version } = all.way;
  const isByAlpn = scheme === 'https' && all.version(door) === '2';
  const seen = await curl(all.origin(door) + path, [
    isByAlpn ? '--http2' : curlVersions[all.version(door)],
    ...['--cacert', all.site.authority ?? '', '-H', `Host: ${siteName}`],
    ...['-H', `Cookie: ${all.site.cookie}`, ...args],
  ]);
  const is10 = args.includes('--http1.0');
  if (!is10) assert.equal(seen.version, all.version(door));
  if (args.includes(continues[1])) {
    const statuses = [...seen.interim.map((one) => one.status), seen.status];
    assert.deepEqual(statuses, path.endsWith('?refused') ? [403] : [100, 200]);
  }
  if (path === '/headers') assert.deepEqual(seen.headers[1], ['x-other', 'caf\xe9 \xfc\xff']);
  // What ends with its connection is given in chunks, so that its end is seen to be one.
  if (path === '/until-closed') return seen.body.toString();
  if (path.startsWith('/view')) return all.comparableView(door, seen.body.toString());
  if (version === '1.1') return all.comparable(door, seen);
  if (path === '/chunks' && door !== 'straight') {
    const checksum = ['x-checksum', '2015744983'];
    assert.deepEqual(seen.trailers, [checksum, ['x-other-end', 'caf\xe9']]);
  }
  // Of trailers curl tells in HTTP/2 alone.
  return all.comparable(door, { ...seen, trailers: [] });
}

async function byWs(t: TestContext, all: Doors): Promise<void> {
  await all.same((door) => echoesByWs(t, all, door));
  await all.same((door) => closeByWs(t, all, door));
}

async function byH2load(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('h2load', t)) return;
  const [requestsCount, bodyBytes] = [2_000, 10_000];
  const { scheme, version } = all.way;
  for (const door of doors.slice(1)) {
    const { stdout } = await run('h2load', [
      ...(version === '1.1' ? ['--h1'] : []),
      ...['-n', String(requestsCount), '-c', '4', '-m', '20'],
      ...['-H', `cookie: ${all.site.cookie}`],
      `${all.origin(door)}/body?bytes=${bodyBytes}`,
    ]);
    const protocol = version === '1.1' ? 'http/1.1' : scheme === 'https' ? 'h2' : 'h2c';
    assert.match(stdout, new RegExp(`^Application protocol: ${protocol}$`, 'm'));
    assert.match(stdout, new RegExp(`^requests: .* ${requestsCount} succeeded, 0 failed`, 'm'));
    assert.match(stdout, new RegExp(`^status codes: ${requestsCount} 2xx`, 'm'));
    const data = /\((\d+)\) data$/m.exec(stdout)?.[1];
    assert.equal(Number(data), requestsCount * bodyBytes, stdout);
  }
}

/** In clear text they speak HTTP/1.1 alone. */
function isForBrowsers({ scheme, version }: Way): boolean {
  return scheme === 'https' || version === '1.1';
}

async function byChromium(t: TestContext, all: Doors): Promise<void> {
  if (!requireTool('chromium', t)) return;
  const browser = await openBrowser(t, all.way.version === '2' ? [] : ['--disable-http2']);
  const context = await browser.newContext();
  const more = Array.from({ length: 20 }, (_, at) => `c${at}=v${at}`);
  await context.addCookies(
    [...all.site.cookie.split('; '), ...more].map((cookie) => {
      const [name = '', ...value] = cookie.split('=');
      return { name, value: value.join('='), domain: '127.0.0.1', path: '/' };
    }),
  );
  await all.same((door) => pageAt(context, all, door));
  for (const door of doors.slice(1)) await newSessionIn(browser, all, door);
}

async function pageAt(context: BrowserContext, all: Doors, door: Door): Promise<unknown> {
  const page = await context.newPage();
  await page.goto(`${all.origin(door)}/page`);
  const view = await viewIn(page);
  const { host: authority } = new URL(all.origin(door));
  // Of the version tells Via; what else differs is that each door is an origin of its own.
  all.comparableView(door, view, authority);
  const { rawHeaders } = JSON.parse(view) as { rawHeaders: string[] };
  const seen: unknown[] = [rawHeaders[1 + rawHeaders.findIndex((name) => /^cookie$/i.test(name))]];
  for (const fetched of fetches) {
    const answer = await fetchIn(page, fetched);
    assert.ok(answer.status < 500);
    const isHttp2 = all.version(door) === '2';
    if (isHttp2) assert.equal(answer.reason, '');
    seen.push(all.way.version === '2' ? { ...answer, reason: '' } : answer);
  }
  const events = await eventsIn(page, `/events/${randomUUID()}`, 20);
  const echoes = await echoesIn(page, '/socket', ['one', 'grüße', 'x'.repeat(100_000)]);
  assert.deepEqual([events.length, echoes.length], [20, 3]);
  return [seen, events, echoes];
}

/** The stamps of a session over TLS stay in TLS. */
async function newSessionIn(browser: Browser, all: Doors, door: Door): Promise<void> {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${all.origin(door)}/session/login?user=alice`);
  const title = await page.title();
  assert.match(title, /^alice at app-\d$/);
  const jar = await context.cookies();
  const isSecured = all.way.scheme === 'https';
  assert.deepEqual(jar.map(({ name, secure }) => [name, secure]).sort(), [
    ['BEKEY', isSecured],
    ['BEROUTE', isSecured],
    ['JSESSIONID', false],
  ]);
}
