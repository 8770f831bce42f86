import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { sipDnsLimits } from '../../../src/config/defaults.ts';
import type { DnsRecords, DnsType } from '../../../src/io/dns/dns-message.ts';
import { findTargets } from '../../../src/io/dns/sip-targets.ts';
import { orderAddresses, orderServers } from '../../../src/io/dns/srv.ts';
import type { SrvRecord } from '../../../src/io/dns/srv.ts';
import type { SipTransport } from '../../../src/pipeline/arrival.ts';
import type { SipDestination } from '../../../src/pipeline/sip-target.ts';

type Zone = Readonly<Record<string, Partial<{ [T in DnsType]: readonly DnsRecords[T][] }>>>;

const all: ReadonlySet<SipTransport> = new Set(['UDP', 'TCP', 'TLS']);
const naptr = (order: number, service: string, replacement: string, flags = 's') => ({
  order,
  preference: 10,
  flags,
  service,
  regexp: '',
  replacement,
});
const srv = (priority: number, weight: number, port: number, target: string) => ({
  priority,
  weight,
  port,
  target,
});

const zone: Zone = {
  'full.example': {
    NAPTR: [
      naptr(30, 'SIP+D2U', '_sip._udp.full.example'),
      naptr(10, 'SIPS+D2T', '_sips._tcp.full.example'),
      naptr(20, 'SIP+D2T', '_sip._tcp.full.example'),
      naptr(5, 'SIP+D2S', '_sip._sctp.full.example'),
      naptr(1, 'E2U+sip', 'no.example'),
    ],
    A: ['192.0.2.99'],
  },
  '_sips._tcp.full.example': { SRV: [srv(1, 0, 5_071, 'one.example')] },
  '_sip._tcp.full.example': { SRV: [srv(1, 0, 5_072, 'one.example')] },
  '_sip._udp.full.example': {
    SRV: [srv(2, 0, 5_074, 'two.example'), srv(1, 0, 5_073, 'one.example')],
  },
  'one.example': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'] },
  'two.example': { A: ['192.0.2.2'] },
  'srv.example': { A: ['192.0.2.99'] },
  '_sip._udp.srv.example': { SRV: [srv(1, 0, 5_080, 'two.example')] },
  '_sip._tcp.srv.example': { SRV: [srv(1, 0, 5_081, 'two.example')] },
  '_sips._tcp.srv.example': { SRV: [srv(1, 0, 5_082, 'two.example')] },
  'plain.example': { A: ['192.0.2.3'] },
  'none.example': { A: ['192.0.2.4'] },
  '_sip._udp.none.example': { SRV: [srv(0, 0, 0, '')] },
  'direct.example': { NAPTR: [naptr(1, 'sip+d2t', 'two.example', 'A')] },
  'hollow.example': { NAPTR: [naptr(1, 'SIP+D2T', '_sip._tcp.hollow.example')], A: ['192.0.2.5'] },
};

function urisOf(
  destination: Partial<SipDestination>,
  options: {
    readonly zone?: Zone;
    readonly transports?: ReadonlySet<SipTransport>;
    readonly families?: readonly (4 | 6)[];
    readonly seed?: string;
  } = {},
): { targets: string[]; asked: string[] } {
  const asked: string[] = [];
  const { families = [4, 6], transports = all, seed = 'seed' } = options;
  const whole = { scheme: 'sip', host: '', port: undefined, transport: undefined, ...destination };
  const targets = findTargets(whole, seed, {
    transports,
    families,
    hosts: new Map([['box', ['192.0.2.200']]]),
    look: (name, type) => {
      asked.push(`${name} ${type}`);
      return (options.zone ?? zone)[name]?.[type] ?? [];
    },
  });
  return {
    targets: targets.map(({ transport, address, port }) => `${transport} ${address} ${port}`),
    asked,
  };
}

describe('where a destination leads (RFC 3263 section 4)', () => {
  const rows: readonly [string, Partial<SipDestination>, string[]][] = [
    ['a numeric host goes by UDP', { host: '192.0.2.7' }, ['UDP 192.0.2.7 5060']],
    ['a numeric host of IPv6 too', { host: '2001:db8::7', port: 5_090 }, ['UDP 2001:db8::7 5090']],
    [
      'a numeric host of sips goes by TLS',
      { scheme: 'sips', host: '192.0.2.7' },
      ['TLS 192.0.2.7 5061'],
    ],
    ['a transport is kept', { host: '192.0.2.7', transport: 'TCP' }, ['TCP 192.0.2.7 5060']],
    ['TLS has its own port', { host: '192.0.2.7', transport: 'TLS' }, ['TLS 192.0.2.7 5061']],
    [
      'sips by TCP is TLS',
      { scheme: 'sips', host: '192.0.2.7', transport: 'TCP' },
      ['TLS 192.0.2.7 5061'],
    ],
    ['sips by UDP is impossible', { scheme: 'sips', host: '192.0.2.7', transport: 'UDP' }, []],
    [
      'a transport that we cannot send on leads nowhere',
      { host: '192.0.2.7', transport: 'WS' },
      [],
    ],
    ['another scheme leads nowhere', { scheme: 'tel', host: '192.0.2.7' }, []],
    ['a port spares SRV', { host: 'srv.example', port: 5_099 }, ['UDP 192.0.2.99 5099']],
    [
      'a transport spares NAPTR',
      { host: 'full.example', transport: 'UDP' },
      ['UDP 2001:db8::1 5073', 'UDP 192.0.2.1 5073', 'UDP 192.0.2.2 5074'],
    ],
    [
      'NAPTR orders transports, SRV their servers',
      { host: 'full.example' },
      [
        'TLS 2001:db8::1 5071',
        'TLS 192.0.2.1 5071',
        'TCP 2001:db8::1 5072',
        'TCP 192.0.2.1 5072',
        'UDP 2001:db8::1 5073',
        'UDP 192.0.2.1 5073',
        'UDP 192.0.2.2 5074',
      ],
    ],
    [
      'sips takes the secure service alone',
      { scheme: 'sips', host: 'full.example' },
      ['TLS 2001:db8::1 5071', 'TLS 192.0.2.1 5071'],
    ],
    [
      'without NAPTR each transport has its SRV',
      { host: 'srv.example' },
      ['UDP 192.0.2.2 5080', 'TCP 192.0.2.2 5081'],
    ],
    ['for sips that is TLS', { scheme: 'sips', host: 'srv.example' }, ['TLS 192.0.2.2 5082']],
    ['without SRV the name itself counts', { host: 'plain.example' }, ['UDP 192.0.2.3 5060']],
    ['for sips by TLS', { scheme: 'sips', host: 'plain.example' }, ['TLS 192.0.2.3 5061']],
    [
      'the case of a name and its last dot do not matter',
      { host: 'Plain.EXAMPLE.' },
      ['UDP 192.0.2.3 5060'],
    ],
    ['a service that is decidedly not there leads nowhere', { host: 'none.example' }, []],
    ['NAPTR may name a host', { host: 'direct.example' }, ['TCP 192.0.2.2 5060']],
    [
      'NAPTR without SRV leaves the name itself',
      { host: 'hollow.example' },
      ['TCP 192.0.2.5 5060'],
    ],
    ['an unknown name leads nowhere', { host: 'unknown.example' }, []],
    ['localhost is this machine', { host: 'localhost' }, ['UDP 127.0.0.1 5060', 'UDP ::1 5060']],
    [
      'so is what stands below it',
      { host: 'a.LOCALHOST', port: 5_062 },
      ['UDP 127.0.0.1 5062', 'UDP ::1 5062'],
    ],
    [
      'a name of the hosts file is known',
      { host: 'box', transport: 'TCP' },
      ['TCP 192.0.2.200 5060'],
    ],
  ];
  for (const [name, destination, expected] of rows) {
    it(name, () => {
      assert.deepEqual(urisOf(destination).targets, expected);
    });
  }

  for (const host of [
    '192.0.2.7',
    'localhost',
    'box',
    'x.invalid',
    'a..b',
    'ü.example',
    '[::1]',
    '',
    `${'a'.repeat(64)}.b`,
    `a.${'b.'.repeat(130)}c`,
  ]) {
    it(`asks nobody for "${host.slice(0, 20)}"`, () => {
      assert.deepEqual(urisOf({ host }).asked, []);
    });
  }

  it('sends only to the families that it can', () => {
    assert.deepEqual(urisOf({ host: 'one.example', port: 1 }, { families: [4] }).targets, [
      'UDP 192.0.2.1 1',
    ]);
    assert.deepEqual(urisOf({ host: 'one.example', port: 1 }, { families: [6] }).asked, [
      'one.example AAAA',
    ]);
    assert.deepEqual(urisOf({ host: '::1' }, { families: [4] }).targets, []);
    assert.deepEqual(urisOf({ host: 'localhost' }, { families: [6] }).targets, ['UDP ::1 5060']);
  });

  it('sends only on transports that it can', () => {
    const tcp = new Set<SipTransport>(['TCP']);
    assert.deepEqual(urisOf({ host: 'srv.example' }, { transports: tcp }).targets, [
      'TCP 192.0.2.2 5081',
    ]);
    assert.deepEqual(urisOf({ host: '192.0.2.7' }, { transports: tcp }).targets, [
      'TCP 192.0.2.7 5060',
    ]);
    assert.deepEqual(
      urisOf({ scheme: 'sips', host: 'full.example' }, { transports: tcp }).targets,
      [],
    );
  });

  it('names the domain, not the server, for the certificate', () => {
    const [target] = findTargets(
      { scheme: 'sips', host: 'full.example', port: undefined, transport: undefined },
      '',
      {
        transports: all,
        families: [4],
        hosts: new Map(),
        look: (name, type) => zone[name]?.[type] ?? [],
      },
    );
    assert.equal(target?.serverName, 'full.example');
  });

  it('bounds the targets and the records that it looks at', () => {
    const hosts = Array.from({ length: 100 }, (_, index) => `h${index}.example`);
    const big: Zone = {
      '_sip._udp.big.example': { SRV: hosts.map((host) => srv(1, 1, 5_060, host)) },
      'wide.example': { A: hosts.map((_, index) => `10.0.0.${index}`) },
      ...Object.fromEntries(hosts.map((host, index) => [host, { A: [`10.0.1.${index}`] }])),
    };
    const many = urisOf({ host: 'big.example', transport: 'UDP' }, { zone: big });
    assert.equal(many.targets.length, sipDnsLimits.targetsMax);
    assert.ok(many.asked.length <= 1 + 2 * sipDnsLimits.targetsMax);
    assert.equal(
      urisOf({ host: 'wide.example', port: 1 }, { zone: big }).targets.length,
      sipDnsLimits.targetsMax,
    );
  });

  const anyZone = fc.array(
    fc.tuple(
      fc.constantFrom('SIP+D2U', 'SIP+D2T', 'SIPS+D2T', 'sips+d2u'),
      fc.constantFrom(
        '_sip._udp.z.example',
        '_sip._tcp.z.example',
        '_sips._tcp.z.example',
        'h.example',
      ),
      fc.constantFrom('s', 'a', 'u', ''),
      fc.nat(3),
    ),
    { maxLength: 6 },
  );

  it('never takes a sips request to anything but TLS', () => {
    fc.assert(
      fc.property(
        anyZone,
        fc.constantFrom(undefined, ...all),
        fc.option(fc.nat(65_535), { nil: undefined }),
        (records, transport, port) => {
          const made: Zone = {
            'z.example': {
              NAPTR: records.map(([service, name, flags, order]) =>
                naptr(order, service, name, flags),
              ),
              A: ['192.0.2.1'],
            },
            '_sip._udp.z.example': { SRV: [srv(1, 1, 1, 'h.example')], A: ['192.0.2.3'] },
            '_sip._tcp.z.example': { SRV: [srv(1, 1, 2, 'h.example')], A: ['192.0.2.3'] },
            '_sips._tcp.z.example': { A: ['192.0.2.3'] },
            'h.example': { A: ['192.0.2.2'] },
          };
          const { targets } = urisOf(
            { scheme: 'sips', host: 'z.example', transport, port },
            { zone: made },
          );
          assert.deepEqual(
            targets.filter((target) => !target.startsWith('TLS ')),
            [],
          );
          assert.equal(targets.length > 0, transport !== 'UDP');
        },
      ),
    );
  });
});

describe('the order of servers (RFC 2782, RFC 3263 section 4.4)', () => {
  const server = fc.record({
    priority: fc.nat(3),
    weight: fc.nat(65_535),
    port: fc.integer({ min: 1, max: 65_535 }),
    target: fc.constantFrom('a.example', 'b.example', 'c.example'),
  });

  it('is that of the priorities, holds every server once and is the same for one seed', () => {
    fc.assert(
      fc.property(fc.array(server), fc.string(), (servers, seed) => {
        const ordered = orderServers(servers, seed);
        assert.deepEqual(new Set(ordered), new Set(servers));
        assert.equal(ordered.length, servers.length);
        ordered.forEach((record, index) => {
          assert.ok(index === 0 || ordered[index - 1]!.priority <= record.priority);
        });
        const key = ({ target, port }: SrvRecord): string => `${target}:${port}`;
        const turned = orderServers([...servers].reverse(), seed);
        const isDistinct = new Set(servers.map(key)).size === servers.length;
        if (isDistinct) assert.deepEqual(turned.map(key), ordered.map(key));
      }),
    );
  });

  it('gives the first place by weight over many seeds', () => {
    const seeds = 20_000;
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 5 }),
        (weights) => {
          const servers = weights.map((weight, index) =>
            srv(1, weight, 5_060, `h${index}.example`),
          );
          const firsts = new Map<string, number>();
          for (let seed = 0; seed < seeds; seed++) {
            const { target } = orderServers(servers, String(seed))[0]!;
            firsts.set(target, (firsts.get(target) ?? 0) + 1);
          }
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          weights.forEach((weight, index) => {
            const share = weight / total;
            // Five standard deviations.
            const slack = 5 * Math.sqrt(seeds * share * (1 - share));
            const count = firsts.get(`h${index}.example`) ?? 0;
            assert.ok(Math.abs(count - seeds * share) < slack, `${count} of ${seeds * share}`);
          });
        },
      ),
      { numRuns: 3, seed: 3_263 },
    );
  });

  it('puts weight 0 last but for a few seeds, and treats servers alike when all have it', () => {
    const lasts = [srv(1, 0, 1, 'zero.example'), srv(1, 50, 1, 'heavy.example')];
    let zeroFirst = 0;
    for (let seed = 0; seed < 5_000; seed++) {
      if (orderServers(lasts, String(seed))[0]!.weight === 0) zeroFirst += 1;
    }
    assert.ok(zeroFirst < 20);
    const equal = [srv(1, 0, 1, 'a.example'), srv(1, 0, 1, 'b.example')];
    const firsts = new Set(
      Array.from({ length: 50 }, (_, seed) => orderServers(equal, String(seed))[0]!.target),
    );
    assert.equal(firsts.size, 2);
  });

  it('does not depend on the turn of a name server', () => {
    const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    const ordered = orderAddresses(addresses, 'call-1');
    assert.deepEqual(orderAddresses([...addresses].reverse(), 'call-1'), ordered);
    const firsts = new Set(
      Array.from({ length: 50 }, (_, seed) => orderAddresses(addresses, String(seed))[0]),
    );
    assert.equal(firsts.size, 3);
  });
});
