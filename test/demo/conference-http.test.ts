import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { demoLimits } from '../../src/demo/limits.ts';
import type { HostBench, HttpClient } from '../io/application/embedded-bench.ts';
import { conference } from './conference-bench.ts';

const json = ['Accept', 'application/json'] as const;

interface View {
  conference: string;
  instance: string;
  participants: { callId: string; from: string; since: string }[];
  visitors: number;
  you: string;
}

async function view(bench: HostBench, name: string, cookie?: string): Promise<View> {
  const headers = cookie === undefined ? [json] : [json, ['Cookie', cookie] as const];
  const { text } = await bench.fetch(`/conference?ConferenceName=${name}`, headers);
  return JSON.parse(text) as View;
}

function cookieOf(client: HttpClient): string {
  return client.header('Set-Cookie')!.split(';')[0]!;
}

describe('the page of a conference', () => {
  it('is JSON for a program, with caller, visitor and instance', async () => {
    const bench = await conference();
    bench.send('INVITE', { headers: ['ConferenceName: 42'] });
    bench.advance(100);
    const client = await bench.fetch('/conference?ConferenceName=42', [json]);
    assert.equal(client.status, 200);
    assert.equal(client.header('Content-Type'), 'application/json');
    assert.equal(client.header('X-Served-By'), 'a');
    const { you, ...shown } = JSON.parse(client.text) as View;
    assert.deepEqual(shown, {
      conference: '42',
      instance: 'a',
      participants: [
        {
          callId: 'call@client',
          from: '"Ann \\"A\\"" <sip:ann@example.com>;tag=caller',
          since: '1970-01-01T00:00:00.000Z',
        },
      ],
      visitors: 1,
    });
    assert.equal(client.header('Set-Cookie'), `CONFSESSION=${you}; Path=/; HttpOnly; SameSite=Lax`);
  });

  it('is HTML for a browser, in which nothing of a caller is markup', async () => {
    const bench = await conference();
    const name = '<script>"1"';
    bench.send('INVITE', { callId: '<b>&', headers: [`ConferenceName: ${name}`] });
    bench.advance(100);
    const client = await bench.fetch(`/conference?ConferenceName=${encodeURIComponent(name)}`, [
      ['Accept', 'text/html,*/*'],
    ]);
    assert.equal(client.header('Content-Type'), 'text/html; charset=utf-8');
    assert.match(client.header('Content-Security-Policy')!, /default-src 'none'/);
    assert.match(client.text, /<span class="instance">a<\/span>/);
    assert.match(client.text, /http-equiv="refresh"/);
    assert.match(client.text, /&#60;b&#62;&#38;/);
    assert.match(client.text, /sip:ann@example.com/);
    assert.ok(!client.text.includes('<script'));
    assert.ok(!client.text.includes('<b>'));
  });

  it('knows a visitor again by the cookie, and gives a new one for what is none', async () => {
    const bench = await conference();
    const first = await bench.fetch('/conference?ConferenceName=42');
    const cookie = cookieOf(first);
    const again = await bench.fetch('/conference?ConferenceName=42', [['Cookie', cookie]]);
    assert.equal(again.header('Set-Cookie'), undefined);
    const shown = await view(bench, '42', cookie);
    assert.equal(shown.visitors, 1);
    assert.equal(`CONFSESSION=${shown.you}`, cookie);
    const stranger = await view(bench, '42', 'CONFSESSION=<script>');
    assert.match(stranger.you, /^[0-9a-f-]{36}$/);
    assert.equal(stranger.visitors, 2);
  });

  it('counts visitors by conference and forgets who does not come back', async () => {
    const bench = await conference();
    await view(bench, '42');
    await view(bench, '43');
    assert.equal((await view(bench, '42')).visitors, 2);
    bench.advance(demoLimits.visitorIdleMs + demoLimits.sweepMs);
    assert.equal((await view(bench, '42')).visitors, 1);
  });

  it('needs a name', async () => {
    const bench = await conference();
    for (const target of ['/conference', '/conference?ConferenceName=%20']) {
      const client = await bench.fetch(target);
      assert.equal(client.status, 400);
      assert.equal(client.header('X-Served-By'), 'a');
    }
  });

  it('is named by what the parameter decodes to, cut to its limit', async () => {
    const bench = await conference();
    assert.equal((await view(bench, 'a%20%C3%BC+b')).conference, 'a ü b');
    assert.equal((await view(bench, 'x'.repeat(100))).conference.length, 64);
  });
});

describe('other pages of the demo', () => {
  it('the start page leads to a conference', async () => {
    const bench = await conference();
    const client = await bench.fetch('/');
    assert.equal(client.status, 200);
    assert.match(client.text, /action="\/conference"/);
    assert.equal(client.header('X-Served-By'), 'a');
  });

  it('others do not exist, and only GET and HEAD are served', async () => {
    const bench = await conference();
    const missing = await bench.fetch('/other');
    assert.equal(missing.status, 404);
    assert.equal(missing.header('X-Served-By'), 'a');
    const post = await bench.fetch('/conference?ConferenceName=42', [], 'POST');
    assert.equal(post.status, 405);
    assert.equal(post.header('Allow'), 'GET, HEAD');
    const head = await bench.fetch('/conference?ConferenceName=42', [], 'HEAD');
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
  });

  it('a target that is no address is answered 400', async () => {
    const bench = await conference();
    assert.equal((await bench.fetch(':99999999/')).status, 400);
  });
});
