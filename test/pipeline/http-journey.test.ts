import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Rules } from '../../src/dcr/index.ts';
import {
  HeaderBlock,
  parseRequestHead,
  type ReceivedRequest,
  type ResponseHead,
} from '../../src/http/index.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import {
  defaultHttpRouting,
  HttpJourney,
  type HttpRoute,
  type HttpRouting,
} from '../../src/pipeline/http-journey.ts';
import { digestOf, KeyDeriver } from '../../src/pipeline/key.ts';
import { Stamper } from '../../src/pipeline/stamp.ts';
import type { ClusterView, InstanceStatus } from '../../src/pipeline/view.ts';
import { clusterView } from '../support/pipeline-parts.ts';

const remote = { address: '192.0.2.7', port: 4711, isTls: false, isTrusted: false };
const keyA = { id: 'a', secret: Buffer.alloc(32, 1) };
const keyB = { id: 'b', secret: Buffer.alloc(32, 2) };

const viewOf = (instances: Readonly<Record<string, InstanceStatus>>): ClusterView =>
  clusterView('p1', instances);

const three = viewOf({ p1: 'ready', p2: 'ready', p3: 'ready' });

/** Rules that take the key from the query parameter `room`. */
const roomRules: Rules = {
  kind: 'rule',
  sipKey: () => null,
  httpKey: (subject) => {
    const room = subject.parameter('room');
    if (room?.startsWith('+') === true) return { number: room };
    return room ?? null;
  },
};

interface Setting {
  readonly view: ClusterView;
  readonly rules?: Rules;
  readonly routing?: Partial<HttpRouting>;
  readonly stampKeys?: ConstructorParameters<typeof Stamper>[0];
}

function createJourney(setting: Setting): {
  journey: HttpJourney;
  counters: Counters;
  setView: (view: ClusterView) => void;
} {
  let { view } = setting;
  const counters = new Counters();
  const keys = new KeyDeriver(setting.rules);
  const journey = new HttpJourney({
    view: () => view,
    keys: () => keys,
    stamper: new Stamper(setting.stampKeys ?? [keyA]),
    counters,
    routing: { ...defaultHttpRouting, ...setting.routing },
    roundRobin: { turn: 0 },
  });
  return { journey, counters, setView: (next) => (view = next) };
}

function request(target: string, headers = ''): ReceivedRequest {
  const raw = `GET ${target} HTTP/1.1\r\nHost: shop.example:8080\r\n${headers}\r\n`;
  const progress = parseRequestHead(Buffer.from(raw, 'latin1'));
  assert.ok(progress.kind === 'head');
  return progress.head;
}

function route(journey: HttpJourney, target: string, headers = ''): HttpRoute {
  const decision = journey.decide(request(target, headers), remote);
  assert.ok(decision.kind === 'route', decision.kind);
  return decision;
}

function response(...cookies: string[]): ResponseHead {
  return {
    status: 200,
    reason: 'OK',
    headers: HeaderBlock.of(cookies.map((value) => ['Set-Cookie', value] as const)),
    framing: { kind: 'none' },
  };
}

/** What a browser would send back. */
function cookieHeader(journey: HttpJourney, from: HttpRoute, head = response('sid=1')): string {
  const set = journey.responseCookies(from, from.candidates[0]!, head).list();
  return `Cookie: other=1; ${set.map(([, value]) => value.split(';')[0]!).join('; ')}\r\n`;
}

const converged = { contextRoots: [{ path: '/', kind: 'converged' }] } as const;

describe('which instance an initial HTTP request goes to', () => {
  it('pure web goes round, also where rules exist', () => {
    const { journey } = createJourney({ view: three, rules: roomRules });
    const routes = [1, 2, 3, 4].map(() => route(journey, '/?room=42'));
    assert.deepEqual(
      routes.map(({ candidates }) => candidates[0]),
      ['p1', 'p2', 'p3', 'p1'],
    );
    assert.deepEqual(routes[1]?.candidates, ['p2', 'p3', 'p1']);
    assert.equal(routes[0]?.reason, 'round-robin');
    assert.equal(routes[0].keyDigest, '');
  });

  it('a converged application without rules goes round too', () => {
    const { journey } = createJourney({ view: three, routing: converged });
    assert.equal(route(journey, '/?room=42').reason, 'round-robin');
  });

  it('rules give the key, the ring the owner', () => {
    const { journey } = createJourney({ view: three, rules: roomRules, routing: converged });
    const decided = route(journey, '/?room=42');
    assert.equal(decided.reason, 'rule');
    assert.equal(decided.keyDigest, digestOf('42'));
    assert.deepEqual(decided.candidates, three.ring.successors(digestOf('42'), 3));
    const [first] = decided.candidates;
    assert.deepEqual(journey.envelope(decided, first!, false), {
      keyDigest: digestOf('42'),
      instance: first,
      reason: 'rule',
      ringVersion: three.ring.version,
      ingressPeer: 'p1',
      hop: first === 'p1' ? 0 : 1,
      transaction: '',
      isLastOffer: false,
    });
    assert.equal(journey.envelope(decided, 'p1', false).hop, 0);
    assert.equal(journey.envelope(decided, 'p2', false).hop, 1);
    assert.equal(journey.envelope(decided, 'p2', true).isLastOffer, true);
    const unavailableHost = { host: 'sorry.example:80', mode: 'proxy' } as const;
    const other = createJourney({ view: three, routing: { unavailableHost } }).journey;
    assert.equal(other.envelope(route(other, '/'), 'p2', true).isLastOffer, false);
  });

  it('without a key from the rules, remote host and port decide', () => {
    const { journey } = createJourney({ view: three, rules: roomRules, routing: converged });
    const decided = route(journey, '/');
    assert.equal(decided.reason, 'fallback');
    assert.equal(decided.keyDigest, digestOf('192.0.2.7\n4711'));
    const forged = route(journey, '/', 'X-Forwarded-For: 10.0.0.1\r\n');
    assert.equal(forged.keyDigest, decided.keyDigest);
  });

  it('the longest context root decides the kind', () => {
    const routing = {
      contextRoots: [
        { path: '/', kind: 'web' },
        { path: '/conf', kind: 'converged' },
        { path: '/conf/static/', kind: 'web' },
      ],
    } as const;
    const { journey } = createJourney({ view: three, rules: roomRules, routing });
    const rows = [
      ['/?room=1', 'round-robin'],
      ['/conf?room=1', 'rule'],
      ['/conf/a?room=1', 'rule'],
      ['/conf;jsessionid=x?room=1', 'rule'],
      ['/conference?room=1', 'round-robin'],
      ['/conf/static?room=1', 'round-robin'],
      ['/conf/static/a?room=1', 'round-robin'],
      ['/conf/statics?room=1', 'rule'],
    ] as const;
    for (const [target, reason] of rows)
      assert.equal(route(journey, target).reason, reason, target);
  });

  it('a number that is being looked up makes it wait', () => {
    const { journey } = createJourney({ view: three, rules: roomRules, routing: converged });
    const decision = journey.decide(request('/?room=%2B4930'), remote);
    assert.deepEqual(decision, { kind: 'pending', number: '+4930' });
  });

  it('only ready instances take part; without one there is none', () => {
    const view = viewOf({ p1: 'draining', p2: 'ready', p3: 'disabled', p4: 'joining' });
    const { journey, setView } = createJourney({ view, rules: roomRules });
    assert.deepEqual(route(journey, '/').candidates, ['p2']);
    setView(viewOf({ p1: 'draining' }));
    assert.deepEqual(journey.decide(request('/'), remote), {
      kind: 'unavailable',
      retryAfterSeconds: 2,
    });
  });
});

describe('sessions keep their instance', () => {
  const setting = { view: three, rules: roomRules, routing: converged };

  it('while it lives, whatever the rules and the ring say', () => {
    const { journey, setView } = createJourney(setting);
    const first = route(journey, '/?room=42');
    const [owner] = first.candidates;
    const cookies = cookieHeader(journey, first);
    for (const status of ['ready', 'draining', 'joining'] as const) {
      setView(viewOf({ p1: 'ready', p2: 'ready', p3: 'ready', [owner!]: status, p4: 'ready' }));
      const later = route(journey, '/?room=other', cookies);
      assert.equal(later.reason, 'stamp');
      assert.equal(later.candidates[0], owner);
      assert.equal(later.keyDigest, digestOf('42'));
      assert.deepEqual(journey.responseCookies(later, owner!, response('sid=2')).list(), []);
    }
  });

  for (const status of [undefined, 'disabled'] as const) {
    it(`when it is ${status ?? 'gone'} the key chooses, and both stamps are written anew`, () => {
      const { journey, setView } = createJourney(setting);
      const first = route(journey, '/?room=42');
      const [owner, second] = first.candidates;
      const cookies = cookieHeader(journey, first);
      const others = Object.fromEntries(
        ['p1', 'p2', 'p3'].filter((name) => name !== owner).map((name) => [name, 'ready'] as const),
      );
      setView(viewOf(status === undefined ? others : { ...others, [owner!]: status }));
      const later = route(journey, '/', cookies);
      assert.equal(later.reason, 'stamp-key');
      assert.equal(later.candidates[0], second);
      const set = journey.responseCookies(later, second!, response()).list();
      assert.deepEqual(
        set.map(([, value]) => value.split('.')[0]),
        [`BEKEY=${digestOf('42')}`, `BEROUTE=${second}`],
      );
    });
  }

  it('a living instance that was out of reach keeps them, unless the other makes a session', () => {
    const { journey } = createJourney(setting);
    const first = route(journey, '/?room=42');
    const later = route(journey, '/', cookieHeader(journey, first));
    const second = later.candidates[1]!;
    assert.deepEqual(journey.responseCookies(later, second, response()).list(), []);
    const moved = journey.responseCookies(later, second, response('sid=2')).list();
    assert.match(moved[1]![1], new RegExp(`^BEROUTE=${second}\\.`));
  });

  it('after a death the sessions of a round robin spread over all that are left', () => {
    const { journey, setView } = createJourney({ view: three });
    const sessions: string[] = [];
    for (let at = 0; at < 300; at++) {
      const first = route(journey, '/');
      const cookies = cookieHeader(journey, first, response(`sid=${at}`));
      if (first.candidates[0] === 'p1') sessions.push(cookies);
    }
    setView(viewOf({ p2: 'ready', p3: 'ready' }));
    const chosen = sessions.map((cookies) => route(journey, '/', cookies).candidates[0]);
    const share = chosen.filter((name) => name === 'p2').length / chosen.length;
    assert.equal(chosen.length, 100);
    assert.ok(share > 0.3 && share < 0.7, `p2 got ${share}`);
  });

  it('a session of before works with a rotated signing key', () => {
    const before = createJourney({ ...setting, stampKeys: [keyA] });
    const first = route(before.journey, '/?room=42');
    const cookies = cookieHeader(before.journey, first);
    const after = createJourney({ ...setting, stampKeys: [keyB, keyA] });
    assert.equal(route(after.journey, '/', cookies).reason, 'stamp');
    const without = createJourney({ ...setting, stampKeys: [keyB] });
    assert.equal(route(without.journey, '/', cookies).reason, 'fallback');
  });
});

describe('stamps that a client made up', () => {
  const setting = { view: three, rules: roomRules, routing: converged };

  it('are overlooked and counted, each byte of them matters', () => {
    const { journey } = createJourney(setting);
    const first = route(journey, '/?room=42');
    const beroute = /BEROUTE=[^;\r]+/.exec(cookieHeader(journey, first))![0];
    const from = 'BEROUTE='.length;
    for (let at = from; at < beroute.length; at++) {
      const { journey: fresh, counters } = createJourney(setting);
      const flipped = beroute[at] === 'x' ? 'y' : 'x';
      const forged = `${beroute.slice(0, at)}${flipped}${beroute.slice(at + 1)}`;
      const decided = route(fresh, '/', `Cookie: ${forged}\r\n`);
      assert.equal(decided.reason, 'fallback', forged);
      assert.equal(counters.get('stamps_invalid', 'beroute'), 1);
      assert.equal(counters.get('stamps_invalid', 'bekey'), 0);
    }
  });

  it('do not hide a valid one behind them', () => {
    const { journey, counters } = createJourney(setting);
    const first = route(journey, '/?room=42');
    const cookies = cookieHeader(journey, first).replace('Cookie: ', 'Cookie: BEROUTE=p1.a.x; ');
    assert.equal(route(journey, '/', cookies).candidates[0], first.candidates[0]);
    assert.equal(counters.get('stamps_invalid', 'beroute'), 1);
  });

  it('do not pass for the other kind of stamp', () => {
    const { journey } = createJourney(setting);
    const cookies = cookieHeader(journey, route(journey, '/?room=42'));
    const swapped = cookies.replace('BEKEY=', 'T=').replace('BEROUTE=', 'BEKEY=');
    assert.equal(route(journey, '/', swapped).reason, 'fallback');
  });

  const oddities = ['p2', 'p2.a', 'p2..', '.a.b', '...', '', '%zz.a.b', 'x'.repeat(600)];
  for (const value of oddities) {
    it(`${JSON.stringify(value.slice(0, 10))} is none`, () => {
      const { journey, counters } = createJourney(setting);
      assert.equal(route(journey, '/', `Cookie: BEROUTE=${value}\r\n`).reason, 'fallback');
      assert.equal(counters.get('stamps_invalid', 'beroute'), 1);
    });
  }

  it('steer nothing: ten thousand for one instance leave its share as it was', () => {
    const { journey, counters } = createJourney({ view: three });
    let hits = 0;
    for (let at = 0; at < 10_000; at++) {
      const forged = `Cookie: BEROUTE=p1.a.${digestOf(String(at))}\r\n`;
      if (route(journey, '/', forged).candidates[0] === 'p1') hits++;
    }
    assert.equal(hits, 3_334);
    assert.equal(counters.get('stamps_invalid', 'beroute'), 10_000);
  });

  it('are refused where that is configured', () => {
    const routing = { ...converged, onInvalidStamp: 'reject' } as const;
    const { journey } = createJourney({ ...setting, routing });
    const decision = journey.decide(request('/', 'Cookie: BEKEY=x.a.b\r\n'), remote);
    assert.deepEqual(decision, { kind: 'forbidden' });
    assert.equal(journey.decide(request('/', 'Cookie: other=x\r\n'), remote).kind, 'route');
  });
});

describe('when stamps are set', () => {
  it('with a session, not without', () => {
    const { journey } = createJourney({ view: three });
    const decided = route(journey, '/');
    const set = (...cookies: string[]): number =>
      journey.responseCookies(decided, 'p1', response(...cookies)).list().length;
    assert.equal(set(), 0);
    assert.equal(set('theme=dark'), 0);
    assert.equal(set('JSESSIONID='), 0);
    assert.equal(set('theme=dark', 'JSESSIONID=abc.route; Path=/app'), 2);
    assert.equal(set('connect.sid=s%3Aabc'), 2);
    assert.equal(set('ASP.NET_SessionId=x'), 2);
  });

  it('always, where that is configured, but not twice', () => {
    const { journey } = createJourney({ view: three, routing: { stampMode: 'always' } });
    const decided = route(journey, '/');
    assert.equal(journey.responseCookies(decided, 'p1', response()).list().length, 2);
    const again = route(journey, '/', cookieHeader(journey, decided, response()));
    assert.deepEqual(journey.responseCookies(again, 'p1', response('sid=1')).list(), []);
  });

  it('with the attributes that keep them from scripts and other sites', () => {
    const { journey } = createJourney({ view: three });
    const tls = { ...remote, isTls: true };
    const decision = journey.decide(request('/'), tls);
    assert.ok(decision.kind === 'route');
    const [bekey] = journey.responseCookies(decision, 'p1', response('sid=1')).list();
    assert.match(
      bekey![1],
      /^BEKEY=[\w-]{22}\.a\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
    );
    const plain = journey.responseCookies(route(journey, '/'), 'p1', response('sid=1')).list();
    assert.doesNotMatch(plain[0]![1], /Secure/);
  });
});

describe('the head that the application gets', () => {
  it('has lost what belongs to the hop and gained where it came from', () => {
    const { journey } = createJourney({ view: three });
    const headers =
      'Connection: X-Hop\r\nX-Hop: 1\r\nproxy-beroute: p3\r\nX-Forwarded-For: 1.1.1.1\r\n' +
      'Cookie: foreign="a b"; BEROUTE=x\r\nVia: 1.1 before\r\nExpect: 100-continue\r\n';
    const { head } = route(journey, '/a?b', headers);
    const { method, target, framing } = head;
    assert.deepEqual([method, target, framing], ['GET', '/a?b', { kind: 'none' }]);
    assert.deepEqual(head.headers.list(), [
      ['Host', 'shop.example:8080'],
      ['Cookie', 'foreign="a b"; BEROUTE=x'],
      ['Via', '1.1 before'],
      ['X-Forwarded-For', '192.0.2.7'],
      ['X-Forwarded-Proto', 'http'],
      ['X-Forwarded-Port', '8080'],
      ['Forwarded', 'for=192.0.2.7;proto=http;host="shop.example:8080"'],
      ['X-Forwarded-Host', 'shop.example:8080'],
      ['Via', '1.1 sailring'],
    ]);
  });

  it('counts the hops of OPTIONS', () => {
    const { journey } = createJourney({ view: three });
    const options = (hops: string): ReceivedRequest => ({
      ...request('/', `Max-Forwards: ${hops}\r\n`),
      method: 'OPTIONS',
    });
    assert.deepEqual(journey.decide(options('0'), remote), { kind: 'options' });
    const decision = journey.decide(options('5'), remote);
    assert.ok(decision.kind === 'route');
    assert.equal(decision.head.headers.get('max-forwards'), '4');
  });
});
