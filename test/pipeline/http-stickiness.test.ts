import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { httpLimits } from '../../src/config/defaults.ts';
import { defaultHttpRouting } from '../../src/pipeline/http-routing.ts';
import { cookieAttributes } from '../../src/pipeline/http-stamp-cookies.ts';
import { digestOf, KeyDeriver } from '../../src/pipeline/key.ts';
import { parsed, clusterView } from '../support/pipeline-parts.ts';
import {
  httpClient,
  httpRequest,
  httpResponse,
  journeyOf,
  roomRules,
  routed,
  stampLine,
  stampsOf,
  viewWithRoutes,
  type JourneySetting,
} from '../support/http-journeys.ts';

const four = viewWithRoutes({
  p1: ['ready', 'r1'],
  p2: ['ready', 'r2'],
  p3: ['draining', 'r3'],
  p4: ['disabled', 'r4'],
});
const converged = { contextRoots: [{ path: '/', kind: 'converged' }] } as const;
const setting: JourneySetting = {
  view: four,
  rules: roomRules,
  routing: { ...converged, affinityKeys: ['call', 'appsession'] },
};
const ownerOf = (key: string): string => four.ring.owner(digestOf(key))!;

describe('what decides, in order', () => {
  const bekey = digestOf('stamped');
  /** All there is, the strongest first; each row of the table leaves out one more. */
  const stamp = (beroute: string | undefined, withKey = true): string =>
    stampLine(withKey ? bekey : undefined, beroute);
  const rows: readonly (readonly [string, string, string, basis: string, first: string])[] = [
    ['a stamp', '/?call=c&room=1', `${stamp('p1')}Cookie: JSESSIONID=s.r2\r\n`, 'stamp', 'p1'],
    ['a stamp of who drains', '/', `${stamp('p3')}Cookie: JSESSIONID=s.r2\r\n`, 'stamp', 'p3'],
    [
      'a jvmRoute',
      '/?call=c&room=1',
      `${stamp('p4')}Cookie: JSESSIONID=s.r2\r\n`,
      'jvm-route',
      'p2',
    ],
    ['a jvmRoute of who drains', '/', 'Cookie: JSESSIONID=s.r3\r\n', 'jvm-route', 'p3'],
    ['a jvmRoute in the path', '/a;jsessionid=s.r1', '', 'jvm-route', 'p1'],
    ['a jvmRoute in the query', '/a?jsessionid=s.r1', '', 'jvm-route', 'p1'],
    [
      "the key of a stamp, where the jvmRoute's instance is disabled",
      '/?call=c&room=1',
      `${stamp('gone')}Cookie: JSESSIONID=s.r4\r\n`,
      'stamp-key',
      four.ring.owner(bekey)!,
    ],
    [
      'a URL key',
      '/?call=c&room=1',
      `${stamp('gone', false)}Cookie: JSESSIONID=s.gone\r\n`,
      'affinity-key',
      ownerOf('c'),
    ],
    ['the second URL key', '/?appsession=c', '', 'affinity-key', ownerOf('c')],
    ['rules', '/?call=&room=1', 'Cookie: JSESSIONID=s.gone\r\n', 'rule', ownerOf('1')],
    ['a session id', '/?x=1', 'Cookie: JSESSIONID=s.gone\r\n', 'session-id', ownerOf('s')],
    ['a session id without route', '/', 'Cookie: JSESSIONID=s\r\n', 'session-id', ownerOf('s')],
    ['remote host and port', '/', '', 'fallback', ownerOf('192.0.2.7\n4711')],
  ];
  for (const [name, target, headers, basis, first] of rows) {
    it(name, () => {
      const { journey, counters } = journeyOf(setting);
      assert.equal(routed(journey, target, headers).candidates[0], first);
      assert.deepEqual([...counters.entries().get('http_routed')!], [[basis, 1]]);
    });
  }

  it('under a `web` root the same, without the rules, and the rotation in the end', () => {
    const { journey, counters } = journeyOf({ ...setting, routing: { affinityKeys: ['call'] } });
    assert.equal(routed(journey, '/?call=c&room=1').candidates[0], ownerOf('c'));
    assert.equal(routed(journey, '/?room=1', 'Cookie: JSESSIONID=s.gone\r\n').reason, 'fallback');
    assert.deepEqual(
      [1, 2, 3].map(() => routed(journey, '/?room=1').candidates[0]),
      ['p1', 'p2', 'p1'],
    );
    assert.deepEqual(Object.fromEntries(counters.entries().get('http_routed')!), {
      'affinity-key': 1,
      'session-id': 1,
      'round-robin': 3,
    });
  });

  it('is told to the link in the words that it has', () => {
    const { journey } = journeyOf(setting);
    const reasonOf = (target: string, headers = ''): string => {
      const route = routed(journey, target, headers);
      return journey.envelope(route, route.candidates[0]!, false).reason;
    };
    assert.equal(reasonOf('/;jsessionid=s.r1'), 'addressed');
    assert.equal(reasonOf('/?call=c'), 'rule');
    assert.equal(reasonOf('/;jsessionid=s.gone'), 'fallback');
  });
});

describe('a session id with a jvmRoute', () => {
  it('is taken by the first of several whose instance serves its sessions', () => {
    const { journey } = journeyOf(setting);
    const cookies =
      'Cookie: JSESSIONID=a.gone; JSESSIONID=b.r4; JSESSIONID=c.r3; JSESSIONID=d.r2\r\n';
    assert.equal(routed(journey, '/;jsessionid=e.r1', cookies).candidates[0], 'p3');
  });

  it('in a cookie goes before one in the URL', () => {
    const { journey } = journeyOf(setting);
    const line = 'Cookie: JSESSIONID=a.r2\r\n';
    assert.equal(routed(journey, '/;jsessionid=e.r1?jsessionid=f.r1', line).candidates[0], 'p2');
  });

  it('hides nothing by being unreadable', () => {
    const { journey } = journeyOf(setting);
    const tooLong = 'x'.repeat(httpLimits.sessionIdBytesMax);
    const line = `Cookie: JSESSIONID=${tooLong}.r1; JSESSIONID=%zz.r1; JSESSIONID=.r1; JSESSIONID=d.r2\r\n`;
    assert.equal(routed(journey, '/', line).candidates[0], 'p2');
  });

  it('has the same followers at all peers: the ring tells them from the id', () => {
    const { journey } = journeyOf(setting);
    const route = routed(journey, '/;jsessionid=s.r3');
    assert.deepEqual(route.candidates, ['p3', ...four.ring.successors(digestOf('s'), 3)]);
  });

  it('that two instances claim names neither', () => {
    const view = viewWithRoutes({ p1: ['ready', 'r1'], p2: ['ready', 'r1'] });
    const { journey, counters } = journeyOf({ view });
    routed(journey, '/;jsessionid=s.r1');
    assert.equal(counters.get('http_routed', 'session-id'), 1);
  });

  it('goes to one successor through every peer when its instance dies, and stays there', () => {
    const line = 'Cookie: JSESSIONID=abc.r2\r\n';
    const after = viewWithRoutes({
      p1: ['ready', 'r1'],
      p3: ['ready', 'r3'],
      p5: ['ready', ''],
      p6: ['ready', 'r6'],
    });
    const successors = [0, 1, 2].map((turn) => {
      const rig = journeyOf({ view: four, turn });
      assert.equal(routed(rig.journey, '/', line).candidates[0], 'p2');
      rig.setView({ ...after, self: `p${turn}` });
      const moved = routed(rig.journey, '/', line);
      const stamps = stampsOf(rig.journey, moved, moved.candidates[0]!);
      assert.deepEqual(stamps, [`BEKEY=${digestOf('abc')}`, `BEROUTE=${moved.candidates[0]}`]);
      return moved.candidates[0];
    });
    assert.equal(new Set(successors).size, 1);
    assert.equal(successors[0], after.ring.owner(digestOf('abc')));
    // The container gives the session its own route: the id is the same.
    const { journey } = journeyOf({ view: after });
    const renamed = routed(journey, '/', `Cookie: JSESSIONID=abc.r7\r\n`);
    assert.equal(renamed.candidates[0], successors[0]);
  });

  it('of a new session makes the key that its id has when the stamps get lost', () => {
    const { journey } = journeyOf({ view: four });
    const stamps = stampsOf(journey, routed(journey, '/'), 'p1', httpResponse('JSESSIONID=abc.r1'));
    assert.deepEqual(stamps, [`BEKEY=${digestOf('abc')}`, 'BEROUTE=p1']);
  });
});

describe('a URL key', () => {
  it('meets the SIP key of the same string', () => {
    const key = 'bob@example.com';
    const invite = Buffer.from(
      'INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\n' +
        'To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n',
    );
    const rules = { ...roomRules, sipKey: () => key };
    const sip = new KeyDeriver(rules).sip(parsed(invite), '1', 'x');
    const { journey } = journeyOf(setting);
    const route = routed(journey, '/?call=bob%40example.com');
    assert.ok(sip.kind === 'key');
    assert.equal(route.keyDigest, sip.digest);
    assert.equal(route.candidates[0], four.ring.owner(sip.digest));
  });

  it('is stamped like the key of a rule', () => {
    const { journey } = journeyOf(setting);
    const route = routed(journey, '/?call=c');
    const [owner] = route.candidates;
    assert.deepEqual(stampsOf(journey, route, owner!), []);
    assert.deepEqual(stampsOf(journey, route, owner!, httpResponse('sid=1')), [
      `BEKEY=${digestOf('c')}`,
      `BEROUTE=${owner}`,
    ]);
  });

  it('stays the key of a session that a jvmRoute holds', () => {
    const { journey } = journeyOf(setting);
    const route = routed(journey, '/;jsessionid=s.r3?call=c');
    assert.equal(route.candidates[0], 'p3');
    assert.equal(route.candidates[1], ownerOf('c'));
    const stamps = stampsOf(journey, route, 'p3', httpResponse('JSESSIONID=s2.r3'));
    assert.deepEqual(stamps, [`BEKEY=${digestOf('c')}`, 'BEROUTE=p3']);
  });
});

describe('stamps that are not the right ones any more', () => {
  const bekey = digestOf('k');
  const owner = four.ring.owner(bekey)!;
  const rows: readonly (readonly [string, string, string, stamps: string[]])[] = [
    [
      'their instance is gone',
      '/',
      stampLine(bekey, 'gone'),
      [`BEKEY=${bekey}`, `BEROUTE=${owner}`],
    ],
    [
      'the instance is missing',
      '/',
      stampLine(bekey, undefined),
      [`BEKEY=${bekey}`, `BEROUTE=${owner}`],
    ],
    [
      'their instance is gone, a jvmRoute has the session',
      '/;jsessionid=s.r3',
      stampLine(bekey, 'gone'),
      [`BEKEY=${bekey}`, 'BEROUTE=p3'],
    ],
    [
      'their instance is gone, the key is lost, a jvmRoute has the session',
      '/;jsessionid=s.r3',
      stampLine(undefined, 'p4'),
      [`BEKEY=${digestOf('s')}`, 'BEROUTE=p3'],
    ],
    [
      'their instance is gone, the key is lost, the URL has one',
      '/?call=c',
      stampLine(undefined, 'gone'),
      [`BEKEY=${digestOf('c')}`, `BEROUTE=${ownerOf('c')}`],
    ],
    [
      'their instance is gone, the key is lost, rules have one',
      '/?room=c',
      stampLine(undefined, 'gone'),
      [`BEKEY=${digestOf('c')}`, `BEROUTE=${ownerOf('c')}`],
    ],
    [
      'the key is lost',
      '/',
      stampLine(undefined, 'p3'),
      [`BEKEY=${digestOf('192.0.2.7\n4711')}`, 'BEROUTE=p3'],
    ],
    ['no: they are right', '/', stampLine(bekey, 'p3'), []],
    ['no: there are none, a jvmRoute has the session', '/;jsessionid=s.r3', '', []],
    ['no: there are none, the URL has a key', '/?call=c', '', []],
  ];
  for (const [name, target, line, stamps] of rows) {
    it(name, () => {
      const { journey } = journeyOf(setting);
      const route = routed(journey, target, line);
      assert.deepEqual(stampsOf(journey, route, route.candidates[0]!), stamps);
    });
  }

  it('a living instance that was out of reach keeps the session that its jvmRoute names', () => {
    const { journey } = journeyOf(setting);
    const route = routed(journey, '/;jsessionid=s.r3', stampLine(bekey, 'gone'));
    assert.deepEqual(stampsOf(journey, route, route.candidates[1]!), []);
    const taken = stampsOf(journey, route, 'p1', httpResponse('JSESSIONID=s2.r1'));
    assert.deepEqual(taken, [`BEKEY=${bekey}`, 'BEROUTE=p1']);
  });

  it('are followed by those of the application, which pass as they are', () => {
    const { journey } = journeyOf(setting);
    const line = `${stampLine(bekey, 'p3').trimEnd()}; JSESSIONID=s.r3; theme="a b"\r\n`;
    const { head } = routed(journey, '/', line);
    assert.equal(head.headers.get('cookie'), line.slice('Cookie: '.length).trimEnd());
  });

  it('with `always` are set with any response, whoever chose', () => {
    const { journey } = journeyOf({
      ...setting,
      routing: { ...setting.routing, stampMode: 'always' },
    });
    for (const target of ['/', '/?call=c', '/?room=1', '/;jsessionid=s.r3']) {
      const route = routed(journey, target);
      assert.equal(stampsOf(journey, route, route.candidates[0]!).length, 2, target);
    }
  });

  it('with `session` know the usual session cookies', () => {
    const { journey } = journeyOf({ view: four });
    const route = routed(journey, '/');
    for (const name of defaultHttpRouting.sessionCookies) {
      assert.equal(
        stampsOf(journey, route, 'p1', httpResponse(`${name}=x; Path=/`)).length,
        2,
        name,
      );
    }
    assert.deepEqual(stampsOf(journey, route, 'p1', httpResponse('theme=x')), []);
  });
});

describe('the attributes of the stamps', () => {
  it('have Max-Age where it is configured', () => {
    const common = { path: '/app', secure: true, sameSite: 'Strict' } as const;
    assert.equal(
      cookieAttributes({ ...common, domain: 'shop.example', maxAgeSeconds: 3_600 }),
      'Path=/app; Domain=shop.example; Max-Age=3600; HttpOnly; SameSite=Strict; Secure',
    );
    assert.doesNotMatch(cookieAttributes(common), /Max-Age/);
  });

  it('stand behind both values', () => {
    const attributes = cookieAttributes({
      path: '/',
      secure: false,
      sameSite: 'Lax',
      maxAgeSeconds: 60,
    });
    const { journey } = journeyOf({ view: four, routing: { cookieAttributes: attributes } });
    const set = journey.responseCookies(routed(journey, '/'), 'p1', httpResponse('sid=1'));
    assert.match(set.all('set-cookie').join('\n'), /^.*; Max-Age=60;.*\n.*; Max-Age=60;.*$/);
  });
});

describe('peers with the same view', () => {
  const statuses = fc.constantFrom('ready', 'ready', 'ready', 'draining', 'disabled', 'joining');
  const views = fc
    .array(fc.tuple(statuses, fc.constantFrom('', 'r1', 'r2', 'r3', 'r4')), {
      minLength: 1,
      maxLength: 6,
    })
    .map((list) =>
      viewWithRoutes(Object.fromEntries(list.map((entry, at) => [`p${at + 1}`, entry]))),
    );
  const token = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'gone', '', 'a', 'b.r1', '%', '\xe9', '.');
  const instance = fc.constantFrom('p1', 'p2', 'p3', 'gone', undefined);
  const requests = fc.record({
    beroute: instance,
    bekey: fc.option(fc.constantFrom('k1', 'k2'), { nil: undefined }),
    cookieIds: fc.array(fc.tuple(token, token), { maxLength: 3 }),
    pathId: fc.option(fc.tuple(token, token), { nil: undefined }),
    query: fc.array(fc.tuple(fc.constantFrom('call', 'room', 'jsessionid', 'x'), token)),
    hasRules: fc.boolean(),
  });
  const ascii = (text: string): string => text.replaceAll('\xe9', '%C3%A9');

  it('choose alike, whatever the request holds, and never whom nobody may ask', () => {
    fc.assert(
      fc.property(views, requests, fc.integer({ min: 1, max: 8 }), (view, asked, attemptsMax) => {
        const path = asked.pathId === undefined ? '' : `;jsessionid=${asked.pathId.join('.')}`;
        const query = asked.query.map(([name, value]) => `${name}=${value}`).join('&');
        const target = ascii(`/a${path}${query === '' ? '' : `?${query}`}`);
        const ids = asked.cookieIds.map((id) => `Cookie: JSESSIONID=${id.join('.')}\r\n`).join('');
        const digest = asked.bekey === undefined ? undefined : digestOf(asked.bekey);
        const headers = stampLine(digest, asked.beroute) + ids;
        const routing = { ...converged, affinityKeys: ['call'], attemptsMax };
        const peers = ['p1', 'p2', 'p9'];
        const decisions = peers.map((self, turn) => {
          const rig = journeyOf({
            view: { ...view, self },
            routing,
            turn,
            ...(asked.hasRules ? { rules: roomRules } : {}),
          });
          const decision = rig.journey.decide(httpRequest(target, headers), httpClient);
          return { decision, rig };
        });
        const [first] = decisions;
        for (const [at, { decision, rig }] of decisions.entries()) {
          assert.equal(decision.kind, first!.decision.kind);
          if (decision.kind !== 'route' || first!.decision.kind !== 'route') continue;
          const behind = decision.candidates.slice(attemptsMax);
          assert.deepEqual(behind, behind.length === 0 ? [] : [peers[at]]);
          assert.equal(new Set(decision.candidates).size, decision.candidates.length);
          for (const name of decision.candidates) {
            const status = view.instances.get(name)?.status;
            assert.ok(status !== undefined && status !== 'disabled', name);
          }
          if (rig.counters.get('http_routed', 'round-robin') > 0) continue;
          assert.equal(decision.keyDigest, first!.decision.keyDigest);
          assert.equal(decision.candidates[0], first!.decision.candidates[0]);
          if (decision.keyDigest !== '') {
            const named = first!.decision.candidates.slice(0, attemptsMax);
            assert.deepEqual(decision.candidates.slice(0, attemptsMax), named);
          }
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe('session ids and keys of hostile clients', () => {
  it('never reach a cookie that we write', () => {
    const hostile = fc.oneof(
      fc.constantFrom(
        '%0d%0aSet-Cookie:x=1',
        '%00',
        '%ff',
        ';',
        'a"b',
        ',',
        '%e2%80%a8',
        '.',
        '%0a.r1',
      ),
      fc.stringMatching(/^[!-"$-~]{0,20}$/),
    );
    fc.assert(
      fc.property(hostile, hostile, (id, key) => {
        const { journey } = journeyOf({ view: four, routing: { affinityKeys: ['call'] } });
        const target = `/a;jsessionid=${id}?call=${key}`;
        const route = routed(journey, target, `Cookie: JSESSIONID=${id}\r\n`);
        const set = journey.responseCookies(route, 'p1', httpResponse('sid=1'));
        assert.equal(set.list().length, 2);
        assert.match(
          set.text,
          /^Set-Cookie: BEKEY=[\w-]{22}\.a\.[\w-]{22}; [ -~]+\r\nSet-Cookie: BEROUTE=p1\.a\.[\w-]{22}; [ -~]+\r\n$/,
        );
        assert.equal(route.head.target, target);
      }),
    );
  });

  it('choose among those who serve sessions alone: a disabled or unknown one gets nothing', () => {
    const { journey } = journeyOf({ view: four });
    for (const route of ['r4', 'p1', 'p4', '__proto__', 'constructor', '']) {
      const decided = routed(journey, '/', `Cookie: JSESSIONID=s.${route}\r\n`);
      assert.equal(decided.candidates[0], ownerOf('s'), route);
    }
  });
});

describe('how many instances a request is offered to', () => {
  const many = clusterView('a', { a: 'ready', b: 'ready', c: 'ready', d: 'ready', e: 'ready' });
  for (const attemptsMax of [1, 2, 5, 8]) {
    it(`${attemptsMax} at most, whoever chose, and where it begins the own one behind`, () => {
      const { journey } = journeyOf({
        view: many,
        routing: { affinityKeys: ['call'], attemptsMax },
      });
      const expected = Math.min(attemptsMax, 5);
      for (const [target, line, begins] of [
        ['/', '', true],
        ['/?call=1', '', true],
        ['/', stampLine(undefined, 'c'), false],
        ['/', stampLine(digestOf('x'), 'c'), false],
      ] as const) {
        const { candidates } = routed(journey, target, line);
        const named = candidates.slice(0, expected);
        const behind = begins && !named.includes('a') ? ['a'] : [];
        assert.equal(named.length, expected);
        assert.deepEqual(candidates.slice(expected), behind);
      }
    });
  }
});
