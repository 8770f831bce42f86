import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HttpRemote } from '../../src/pipeline/http-forward.ts';
import type { HttpDecision } from '../../src/pipeline/http-journey.ts';
import { defaultHttpRouting, httpRoutingOf } from '../../src/pipeline/http-routing.ts';
import { type ConfigWorld, parseConfig } from '../../src/config/index.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import {
  httpClient,
  httpRequest,
  journeyOf,
  routed,
  stampLine,
  viewWithRoutes,
} from '../support/http-journeys.ts';

const one = viewWithRoutes({ p1: ['ready', ''] });
const none = viewWithRoutes({ p1: ['draining', ''], p2: ['disabled', ''] });
const redirect = { unavailableHost: { host: 'sorry.example:8080', mode: 'redirect' } } as const;
const proxy = { unavailableHost: { host: 'sorry.example:8080', mode: 'proxy' } } as const;

describe('a request when no instance is left', () => {
  it('is refused where nothing else is configured', () => {
    const { journey } = journeyOf({ view: none });
    assert.deepEqual(journey.decide(httpRequest('/'), httpClient), {
      kind: 'unavailable',
      retryAfterSeconds: 2,
    });
  });

  it('is sent to the other host, with its method', () => {
    const { journey, counters } = journeyOf({ view: none, routing: redirect });
    assert.deepEqual(journey.decide(httpRequest('/a?b', '', 'POST'), httpClient), {
      kind: 'redirect',
      status: 307,
      location: 'http://sorry.example:8080/a?b',
    });
    assert.equal(counters.get('http_redirects', 'unavailable'), 1);
  });

  it('is given to the other host as an instance would get it', () => {
    const headers =
      'Connection: X-Hop\r\nX-Hop: 1\r\nproxy-beroute: p3\r\nX-Forwarded-For: 1.1.1.1\r\nCookie: a=1\r\n';
    const { journey, counters } = journeyOf({ view: none, routing: proxy });
    const decision = journey.decide(httpRequest('/a?b', headers, 'POST'), httpClient);
    assert.ok(decision.kind === 'elsewhere');
    assert.equal(decision.host, 'sorry.example:8080');
    const { head } = decision;
    assert.deepEqual([head.method, head.target], ['POST', '/a?b']);
    const asRouted = journeyOf({ view: one }).journey.decide(
      httpRequest('/a?b', headers, 'POST'),
      httpClient,
    );
    assert.ok(asRouted.kind === 'route');
    assert.equal(head.headers.text, asRouted.head.headers.text);
    assert.equal(head.headers.get('x-forwarded-for'), '192.0.2.7');
    assert.doesNotMatch(head.headers.text, /proxy-|x-hop/i);
    assert.equal(counters.get('http_elsewhere', 'sent'), 1);
  });

  for (const via of ['1.1 sailring', '1.0 a, 1.1\tsailring (x) , 2 b', 'HTTP/1.1 sailring']) {
    it(`is not sent round and round: Via ${JSON.stringify(via)}`, () => {
      const { journey, counters } = journeyOf({ view: none, routing: proxy });
      const decision = journey.decide(httpRequest('/', `Via: ${via}\r\n`), httpClient);
      assert.equal(decision.kind, 'unavailable');
      assert.equal(counters.get('http_elsewhere', 'loop'), 1);
    });
  }

  for (const via of ['1.1 sailring2', '1.1 other (sailring)', 'sailring', '']) {
    it(`goes on behind others: Via ${JSON.stringify(via)}`, () => {
      const { journey } = journeyOf({ view: none, routing: proxy });
      const decision = journey.decide(httpRequest('/', `Via: ${via}\r\n`), httpClient);
      assert.equal(decision.kind, 'elsewhere');
    });
  }

  it('keeps its instance while that drains: a session is not sent away', () => {
    for (const routing of [redirect, proxy]) {
      const { journey } = journeyOf({ view: none, routing });
      const route = routed(journey, '/', stampLine(digestOf('x'), 'p1'));
      assert.deepEqual(route.candidates, ['p1']);
    }
  });
});

describe('a request that all its candidates refused', () => {
  it('has nothing left where nothing is configured', () => {
    const { journey } = journeyOf({ view: one });
    assert.equal(journey.whenAllRefused(httpRequest('/'), routed(journey, '/')), undefined);
  });

  it('is sent to the other host', () => {
    const { journey } = journeyOf({ view: one, routing: redirect });
    assert.deepEqual(journey.whenAllRefused(httpRequest('/a'), routed(journey, '/a')), {
      kind: 'redirect',
      status: 307,
      location: 'http://sorry.example:8080/a',
    });
  });

  it('is given to the other host with the head that it has', () => {
    const { journey } = journeyOf({ view: one, routing: proxy });
    const route = routed(journey, '/a');
    assert.deepEqual(journey.whenAllRefused(httpRequest('/a'), route), {
      kind: 'elsewhere',
      host: 'sorry.example:8080',
      head: route.head,
    });
    const returned = httpRequest('/a', 'Via: 1.1 sailring\r\n');
    assert.equal(journey.whenAllRefused(returned, route), undefined);
  });
});

describe('a listener that is there for HTTPS alone', () => {
  const entry: HttpRemote = { ...httpClient, redirectToHttpsPort: 443 };
  const decide = (remote: HttpRemote, headers = '', method = 'GET'): HttpDecision =>
    journeyOf({ view: one, routing: { onInvalidStamp: 'reject' } }).journey.decide(
      httpRequest('/a?b', headers, method),
      remote,
    );

  it('sends every request there before anything else is looked at', () => {
    const expected = { kind: 'redirect', status: 301, location: 'https://shop.example/a?b' };
    assert.deepEqual(decide(entry), expected);
    assert.deepEqual(decide(entry, 'Cookie: BEROUTE=forged\r\n'), expected);
    const options = decide(entry, 'Max-Forwards: 0\r\n', 'OPTIONS');
    assert.deepEqual(options, { ...expected, status: 308 });
  });

  it('counts them', () => {
    const { journey, counters } = journeyOf({ view: none });
    journey.decide(httpRequest('/'), entry);
    assert.equal(counters.get('http_redirects', 'https'), 1);
    assert.equal(counters.entries().get('http_routed'), undefined);
  });

  it('serves what has come by HTTPS already, or it would go round', () => {
    assert.equal(decide({ ...entry, isTls: true }).kind, 'route');
    const line = 'X-Forwarded-Proto: https\r\n';
    assert.equal(decide({ ...entry, isTrusted: true }, line).kind, 'route');
    assert.equal(decide(entry, line).kind, 'redirect');
  });

  it('refuses a request without a host that a URL could have', () => {
    const { journey } = journeyOf({ view: one });
    for (const host of ['', ':80', 'a_b:x', "it's", 'a%0d%0ab']) {
      const decision = journey.decide({ ...httpRequest('/'), host }, entry);
      assert.deepEqual(decision, { kind: 'bad-request' }, host);
    }
  });
});

describe('the trace of a request', () => {
  const given = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const newTraceIds = (): string => '1234567890abcdef1234567890abcdeffedcba0987654321';
  const traceOf = (headers: string, isOn = true): readonly (string | undefined)[] => {
    const { journey } = journeyOf({ view: one, ...(isOn ? { newTraceIds } : {}) });
    const { head } = routed(journey, '/', headers);
    return [head.headers.get('traceparent'), head.headers.get('tracestate')];
  };
  const fresh = '00-1234567890abcdef1234567890abcdef-fedcba0987654321-01';

  it('begins here where the client has none', () => {
    assert.deepEqual(traceOf(''), [fresh, undefined]);
    assert.deepEqual(traceOf('traceparent: x\r\ntracestate: a=1\r\n'), [fresh, undefined]);
  });

  it('goes on where the client has one', () => {
    const lines = `traceparent: ${given}\r\ntracestate: a=1\r\n`;
    assert.deepEqual(traceOf(lines), [given, 'a=1']);
  });

  it('is not hidden by a client that names it in Connection', () => {
    const lines = `Connection: traceparent\r\ntraceparent: ${given}\r\ntracestate: a=1\r\n`;
    assert.deepEqual(traceOf(lines), [fresh, undefined]);
  });

  it('is left alone where that is configured', () => {
    assert.deepEqual(traceOf('', false), [undefined, undefined]);
    assert.deepEqual(traceOf('traceparent: x\r\ntracestate: y\r\n', false), ['x', 'y']);
  });
});

describe('routing as the configuration says', () => {
  const world: ConfigWorld = { hostname: 'test', env: {}, readFile: () => new Uint8Array() };

  it('takes over all that concerns it', () => {
    const text = `
stamps: { keys: [{ id: a, secret: 0123456789abcdef }] }
application: { kind: embedded, module: demo }
http:
  listeners: [{ port: 8080 }]
  affinityKeys: [call]
  contextRoots: [{ path: /x, kind: web }]
  cookies: { bekey: K, beroute: R, path: /x, maxAgeSeconds: 60, issue: always, sessionCookies: [s] }
  retries: { attemptsMax: 5 }
  unavailableHost: { host: "sorry.example:80", mode: proxy }
`;
    const result = parseConfig(text, 'peer.yaml', world);
    assert.ok(result.ok, JSON.stringify(result));
    assert.deepEqual(httpRoutingOf(result.config.http, 'reject'), {
      ...defaultHttpRouting,
      bekeyCookie: 'K',
      berouteCookie: 'R',
      cookieAttributes: 'Path=/x; Max-Age=60; HttpOnly; SameSite=Lax',
      contextRoots: [{ path: '/x', kind: 'web' }],
      affinityKeys: ['call'],
      attemptsMax: 5,
      stampMode: 'always',
      sessionCookies: ['s'],
      onInvalidStamp: 'reject',
      unavailableHost: { host: 'sorry.example:80', mode: 'proxy' },
    });
  });
});
