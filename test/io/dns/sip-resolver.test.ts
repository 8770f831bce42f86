import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sipDnsLimits } from '../../../src/config/defaults.ts';
import { DnsLookups } from '../../../src/io/dns/dns-lookups.ts';
import type { DnsAnswer, DnsRecords, DnsType } from '../../../src/io/dns/dns-message.ts';
import { SipResolver } from '../../../src/io/dns/index.ts';
import type { SipResolverOptions } from '../../../src/io/dns/index.ts';
import { parseHosts, readHosts } from '../../../src/io/dns/hosts.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { SipDestination, SipTarget } from '../../../src/pipeline/sip-target.ts';

interface Asked {
  readonly name: string;
  readonly type: DnsType;
  readonly signal: AbortSignal;
  readonly answer: (
    records: readonly unknown[],
    rest?: Partial<Pick<DnsAnswer<DnsType>, 'ttlSeconds' | 'alias'>>,
  ) => void;
  readonly fail: () => void;
}

const benches: Bench[] = [];
after(() => {
  for (const { resolver } of benches) resolver.close();
});

/** A resolver on a DNS and a clock of the test's own. */
class Bench {
  nowMs = 1_000;
  readonly asked: Asked[] = [];
  readonly counters = new Counters();
  readonly defects: unknown[] = [];
  readonly resolver: SipResolver;

  constructor(options: Partial<SipResolverOptions> = {}) {
    this.resolver = new SipResolver({
      servers: [],
      timeoutMs: 60_000,
      counters: this.counters,
      now: () => this.nowMs,
      transports: new Set(['UDP', 'TCP', 'TLS']),
      families: [4],
      hosts: new Map(),
      defect: (error) => this.defects.push(error),
      query: <Type extends DnsType>(name: string, type: Type, signal: AbortSignal) =>
        new Promise<DnsAnswer<Type>>((resolve, reject) => {
          this.asked.push({
            name,
            type,
            signal,
            answer: (records, rest) => {
              resolve({
                records: records as readonly DnsRecords[Type][],
                ttlSeconds: 300,
                alias: undefined,
                ...rest,
              });
            },
            fail: () => {
              reject(new Error('no answer'));
            },
          });
        }),
      ...options,
    });
    benches.push(this);
  }

  /** Targets of `sip:host:5060`, for which addresses alone are asked. */
  targets(host: string, rest: Partial<SipDestination> = { port: 5_060 }): Promise<string[]> {
    return new Promise((resolve) => {
      this.resolver.resolve(
        { scheme: 'sip', host, port: undefined, transport: undefined, ...rest },
        'seed',
        (targets) => resolve(targets.map(textOf)),
      );
    });
  }

  /** What is known without a look-up; undefined when one is needed. */
  atOnce(host: string): string[] | undefined {
    let known: string[] | undefined;
    const destination = { scheme: 'sip', host, port: 5_060, transport: undefined };
    this.resolver.resolve(destination, 'seed', (targets) => {
      known = targets.map(textOf);
    });
    return known;
  }
}

function textOf({ transport, address, port }: SipTarget): string {
  return `${transport} ${address} ${port}`;
}

describe('the SIP resolver', () => {
  it('tells at once what is numeric or known, and later what it must look up', async () => {
    const bench = new Bench();
    assert.deepEqual(bench.atOnce('192.0.2.9'), ['UDP 192.0.2.9 5060']);
    const first = bench.targets('a.example');
    assert.equal(bench.asked.length, 1);
    bench.asked[0]!.answer(['192.0.2.1']);
    assert.deepEqual(await first, ['UDP 192.0.2.1 5060']);
    assert.deepEqual(bench.atOnce('A.example'), ['UDP 192.0.2.1 5060']);
    assert.equal(bench.asked.length, 1);
    assert.equal(bench.counters.get('sip_dns_lookups', 'answered'), 1);
    assert.equal(bench.counters.get('sip_resolutions', 'found'), 3);
  });

  it('goes from NAPTR to SRV to addresses', async () => {
    const bench = new Bench();
    const found = bench.targets('a.example', {});
    const naptr = {
      order: 1,
      preference: 1,
      flags: 's',
      service: 'SIP+D2T',
      regexp: '',
      replacement: 'srv.example',
    };
    bench.asked[0]!.answer([naptr]);
    await turn();
    bench.asked[1]!.answer([{ priority: 1, weight: 1, port: 5_077, target: 'host.example' }]);
    await turn();
    bench.asked[2]!.answer(['192.0.2.1']);
    assert.deepEqual(await found, ['TCP 192.0.2.1 5077']);
    assert.deepEqual(
      bench.asked.map(({ name, type }) => `${name} ${type}`),
      ['a.example NAPTR', 'srv.example SRV', 'host.example A'],
    );
  });

  it('joins requests for one name', async () => {
    const bench = new Bench();
    const both = Promise.all([bench.targets('a.example'), bench.targets('a.example')]);
    assert.equal(bench.asked.length, 1);
    assert.equal(bench.resolver.waiting, 2);
    bench.asked[0]!.answer(['192.0.2.1']);
    const [one, other] = await both;
    assert.deepEqual(one, other);
    assert.equal(bench.resolver.waiting, 0);
  });

  for (const [name, ttlSeconds, records, keptSeconds] of [
    ['an answer by its TTL', 300, ['192.0.2.1'], 300],
    ['a short-lived answer for a transaction', 1, ['192.0.2.1'], sipDnsLimits.ttlSecondsMin],
    ['a long-lived answer no longer than allowed', 1e6, ['192.0.2.1'], sipDnsLimits.ttlSecondsMax],
    ['a denial by its SOA', 20, [], 20],
    ['a denial no longer than allowed', 1e6, [], sipDnsLimits.negativeSecondsMax],
    ['a denial without SOA shortly', undefined, [], sipDnsLimits.negativeSecondsMin],
  ] as const) {
    it(`keeps ${name}`, async () => {
      const bench = new Bench();
      const found = bench.targets('a.example');
      bench.asked[0]!.answer(records, { ttlSeconds });
      assert.equal((await found).length, records.length);
      bench.nowMs += keptSeconds * 1_000 - 1;
      assert.equal(bench.atOnce('a.example')?.length, records.length);
      bench.nowMs += 1;
      assert.equal(bench.atOnce('a.example'), undefined);
      assert.equal(bench.asked.length, 2);
    });
  }

  it('keeps shortly that nobody answered', async () => {
    const bench = new Bench();
    const found = bench.targets('a.example');
    bench.asked[0]!.fail();
    assert.deepEqual(await found, []);
    assert.equal(bench.counters.get('sip_dns_lookups', 'failed'), 1);
    assert.equal(bench.counters.get('sip_resolutions', 'nowhere'), 1);
    assert.deepEqual(bench.atOnce('a.example'), []);
    bench.nowMs += sipDnsLimits.failureSeconds * 1_000;
    assert.equal(bench.atOnce('a.example'), undefined);
  });

  it('does not wait longer than its time-out', async () => {
    const bench = new Bench({ timeoutMs: 5 });
    assert.deepEqual(await bench.targets('a.example'), []);
    assert.ok(bench.asked[0]!.signal.aborted);
    assert.equal(bench.counters.get('sip_dns_lookups', 'timeout'), 1);
  });

  it('follows aliases that servers leave to the asker, and no circle of them', async () => {
    const bench = new Bench();
    const found = bench.targets('a.example');
    bench.asked[0]!.answer([], { alias: 'b.example', ttlSeconds: 40 });
    await turn();
    assert.equal(bench.asked[1]!.name, 'b.example');
    bench.asked[1]!.answer(['192.0.2.1'], { ttlSeconds: 300 });
    assert.deepEqual(await found, ['UDP 192.0.2.1 5060']);
    bench.nowMs += 40_000;
    const circle = bench.targets('a.example');
    for (let at = 2; at < 3 + sipDnsLimits.aliasesMax; at++) {
      bench.asked[at]!.answer([], { alias: at % 2 === 0 ? 'b.example' : 'a.example' });
      await turn();
    }
    assert.deepEqual(await circle, []);
    assert.equal(bench.asked.length, 3 + sipDnsLimits.aliasesMax);
  });

  it('follows no alias to what is no name', async () => {
    const bench = new Bench();
    const found = bench.targets('a.example');
    bench.asked[0]!.answer([], { alias: 'b?c.example' });
    assert.deepEqual(await found, []);
    assert.equal(bench.asked.length, 1);
  });

  it('bounds look-ups at one time', async () => {
    const bench = new Bench({ limits: { lookupsRunningMax: 1 } });
    const first = bench.targets('a.example');
    assert.deepEqual(await bench.targets('b.example'), []);
    assert.equal(bench.counters.get('sip_dns_lookups', 'limit'), 1);
    bench.asked[0]!.answer(['192.0.2.1']);
    assert.equal((await first).length, 1);
    const again = bench.targets('b.example');
    assert.equal(bench.asked.length, 2);
    bench.asked[1]!.answer(['192.0.2.2']);
    assert.deepEqual(await again, ['UDP 192.0.2.2 5060']);
  });

  it('bounds requests that wait', async () => {
    const bench = new Bench({ limits: { requestsWaitingMax: 1 } });
    const first = bench.targets('a.example');
    assert.deepEqual(bench.atOnce('a.example'), []);
    assert.equal(bench.counters.get('sip_resolutions', 'limit'), 1);
    bench.asked[0]!.answer(['192.0.2.1']);
    assert.equal((await first).length, 1);
  });

  it('bounds the look-ups of one request', async () => {
    const bench = new Bench({ limits: { lookupsPerRequestMax: 3 } });
    const found = bench.targets('a.example', { transport: 'UDP' });
    const servers = Array.from({ length: 10 }, (_, index) => ({
      priority: index,
      weight: 0,
      port: 5_060,
      target: `h${index}.example`,
    }));
    bench.asked[0]!.answer(servers);
    await turn();
    assert.equal(bench.asked.length, 3);
    bench.asked[1]!.answer(['192.0.2.1']);
    bench.asked[2]!.answer(['192.0.2.2']);
    assert.deepEqual(await found, ['UDP 192.0.2.1 5060', 'UDP 192.0.2.2 5060']);
    assert.equal(bench.counters.get('sip_dns_lookups', 'limit'), 8);
  });

  it('bounds the answers that it keeps: the oldest goes first', async () => {
    const bench = new Bench({ limits: { answersRemembered: 2 } });
    for (const [index, host] of ['a.example', 'b.example', 'c.example'].entries()) {
      const found = bench.targets(host);
      bench.asked[index]!.answer(['192.0.2.1']);
      await found;
    }
    assert.ok(bench.atOnce('b.example') !== undefined && bench.atOnce('c.example') !== undefined);
    assert.equal(bench.atOnce('a.example'), undefined);
  });

  it('ends what waits when it is closed, and looks up no more', async () => {
    const bench = new Bench();
    const found = bench.targets('a.example');
    bench.resolver.close();
    assert.deepEqual(await found, []);
    assert.ok(bench.asked[0]!.signal.aborted);
    assert.deepEqual(await bench.targets('b.example'), []);
    assert.equal(bench.asked.length, 1);
  });

  it('keeps nothing of look-ups that are over', async () => {
    const bench = new Bench({
      query: () => Promise.resolve({ records: [], ttlSeconds: 1, alias: undefined }),
      limits: { answersRemembered: 1 },
    });
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const heapAfter = async (lookups: number): Promise<number> => {
      for (let at = 0; at < lookups; at++) await bench.targets(`a${lookups}-${at}.example`);
      // Finalizers run between turns.
      for (let at = 0; at < 4; at++) {
        collect();
        await turn();
      }
      return process.memoryUsage().heapUsed;
    };
    const before = await heapAfter(1_000);
    const grownBytes = (await heapAfter(5_000)) - before;
    assert.ok(grownBytes < 5_000 * 100, `${grownBytes} bytes more after 5,000 look-ups`);
  });

  it('hands on what its caller throws', async () => {
    const bench = new Bench();
    const destination = { scheme: 'sip', host: 'a.example', port: 5_060, transport: undefined };
    const thrown = new Error('a defect');
    bench.resolver.resolve(destination, 'seed', () => {
      throw thrown;
    });
    bench.asked[0]!.answer(['192.0.2.1']);
    await turn();
    assert.deepEqual(bench.defects, [thrown]);
    assert.equal(bench.resolver.waiting, 0);
  });
});

describe('look-ups', () => {
  it('keep no more records of an answer than are looked at', async () => {
    const records = Array.from({ length: 2_000 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
    const lookups = new DnsLookups({
      // Whatever is asked for.
      query: () =>
        Promise.resolve({ records: records as never[], ttlSeconds: 60, alias: undefined }),
      timeoutMs: 60_000,
      now: () => 0,
      counters: new Counters(),
      limits: sipDnsLimits,
    });
    const most = records.slice(0, sipDnsLimits.recordsMax);
    assert.deepEqual(await lookups.find('a.example', 'A'), most);
    assert.deepEqual(lookups.known('a.example', 'A'), most);
  });
});

describe('the hosts file', () => {
  it('gives names their addresses and passes over the rest', () => {
    const hosts = parseHosts(
      [
        '# a comment',
        '192.0.2.1\tBox box.example # here',
        '::1 box',
        '192.0.2.1 box',
        'nonsense box',
        '192.0.2.2 b*d',
        '',
      ].join('\n'),
    );
    assert.deepEqual(
      [...hosts],
      [
        ['box', ['192.0.2.1', '::1']],
        ['box.example', ['192.0.2.1']],
      ],
    );
  });

  it('may be missing', () => {
    assert.equal(readHosts('/nonexistent/hosts').size, 0);
  });
});
