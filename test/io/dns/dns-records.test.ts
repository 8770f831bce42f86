import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import dnsPacket from 'dns-packet';
import type { Answer, Packet } from 'dns-packet';
import fc from 'fast-check';
import { decodeDnsReply } from '../../../src/io/dns/dns-message.ts';
import type { DnsAnswer, DnsType } from '../../../src/io/dns/dns-message.ts';
import { parseDnsName, readName } from '../../../src/io/dns/dns-name.ts';

function reply(type: DnsType, answers: Answer[], rest: Partial<Packet> = {}): Buffer {
  const questions = [{ type, name: 'a.example' } as const];
  return dnsPacket.encode({ type: 'response', id: 7, questions, answers, ...rest });
}

function answerTo<Type extends DnsType>(bytes: Buffer, type: Type): DnsAnswer<Type> {
  const read = decodeDnsReply(bytes, 7, 'A.example', type);
  assert.ok(read.kind === 'answer');
  return read.answer;
}

const soa: Answer = {
  type: 'SOA',
  name: 'example',
  ttl: 500,
  data: { mname: 'a', rname: 'b', serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 45 },
};

describe('records of a DNS reply', () => {
  it('are addresses', () => {
    const v4 = reply('A', [{ type: 'A', name: 'a.example', ttl: 60, data: '192.0.2.1' }]);
    assert.deepEqual(answerTo(v4, 'A'), {
      records: ['192.0.2.1'],
      ttlSeconds: 60,
      alias: undefined,
    });
    const v6 = reply('AAAA', [
      { type: 'AAAA', name: 'a.example', ttl: 60, data: '2001:db8:0:0:0:0:0:1' },
    ]);
    assert.deepEqual(answerTo(v6, 'AAAA').records, ['2001:db8::1']);
  });

  it('are servers', () => {
    const data = { priority: 1, weight: 2, port: 3, target: 'H.example' };
    const bytes = reply('SRV', [{ type: 'SRV', name: 'A.EXAMPLE', ttl: 60, data }]);
    assert.deepEqual(answerTo(bytes, 'SRV').records, [{ ...data, target: 'h.example' }]);
  });

  it('are services with the name that replaces', () => {
    const data = {
      order: 1,
      preference: 2,
      flags: 's',
      services: 'SIP+D2U',
      regexp: '',
      replacement: '_sip._udp.b.example',
    };
    const bytes = reply('NAPTR', [{ type: 'NAPTR', name: 'a.example', ttl: 60, data }]);
    const { services, ...rest } = data;
    assert.deepEqual(answerTo(bytes, 'NAPTR').records, [{ ...rest, service: services }]);
  });

  it('are those of the name or what it is an alias of, in any order', () => {
    const bytes = reply('A', [
      { type: 'A', name: 'c.example', ttl: 60, data: '192.0.2.1' },
      { type: 'CNAME', name: 'b.example', ttl: 50, data: 'c.example' },
      { type: 'A', name: 'other.example', ttl: 10, data: '192.0.2.66' },
      { type: 'CNAME', name: 'a.example', ttl: 70, data: 'b.example' },
    ]);
    assert.deepEqual(answerTo(bytes, 'A'), {
      records: ['192.0.2.1'],
      ttlSeconds: 50,
      alias: undefined,
    });
  });

  it('may be left to the asker', () => {
    const alias: Answer = { type: 'CNAME', name: 'a.example', ttl: 70, data: 'b.example' };
    assert.deepEqual(answerTo(reply('A', [alias]), 'A'), {
      records: [],
      ttlSeconds: 70,
      alias: 'b.example',
    });
    const denied = reply('A', [alias], { authorities: [soa] });
    assert.deepEqual(answerTo(denied, 'A'), { records: [], ttlSeconds: 45, alias: undefined });
  });

  it('do not come from a circle of aliases', () => {
    const bytes = reply('A', [
      { type: 'CNAME', name: 'a.example', ttl: 70, data: 'b.example' },
      { type: 'CNAME', name: 'b.example', ttl: 70, data: 'a.example' },
    ]);
    assert.deepEqual(answerTo(bytes, 'A').records, []);
  });

  it('are of the Internet', () => {
    const bytes = reply('A', [
      { type: 'A', class: 'CH', name: 'a.example', ttl: 60, data: '192.0.2.1' },
      { type: 'A', class: 'IN', name: 'a.example', ttl: 60, data: '192.0.2.2' },
    ]);
    assert.deepEqual(answerTo(bytes, 'A').records, ['192.0.2.2']);
  });

  it('live no time at all when their time is negative (RFC 2181 section 8)', () => {
    const ttl = 0x8000_0001;
    const bytes = reply('A', [{ type: 'A', name: 'a.example', ttl, data: '192.0.2.1' }]);
    assert.equal(answerTo(bytes, 'A').ttlSeconds, 0);
  });

  it('are taken from the answer section alone', () => {
    const stray: Answer = { type: 'A', name: 'a.example', ttl: 60, data: '192.0.2.66' };
    assert.deepEqual(answerTo(reply('A', [], { authorities: [stray] }), 'A').records, []);
  });

  for (const type of ['A', 'AAAA', 'SRV', 'NAPTR'] as const) {
    it(`never make the reader of ${type} throw`, () => {
      const answers: Answer[] = [
        { type: 'CNAME', name: 'a.example', ttl: 9, data: 'b.example' },
        { type: 'A', name: 'b.example', ttl: 9, data: '192.0.2.1' },
        { type: 'AAAA', name: 'b.example', ttl: 9, data: '::1' },
        { type: 'SRV', name: 'b.example', ttl: 9, data: { port: 1, target: 'c.example' } },
        {
          type: 'NAPTR',
          name: 'b.example',
          ttl: 9,
          data: {
            order: 1,
            preference: 1,
            flags: 's',
            services: 'x',
            regexp: '',
            replacement: 'c.example',
          },
        },
      ];
      const whole = reply(type, answers, { authorities: [soa] });
      assert.equal(answerTo(whole, type).records.length, 1);
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
          fc.nat(whole.length),
          (changes, length) => {
            const bytes = Buffer.from(whole.subarray(0, length));
            for (const [at, value] of changes) if (at < length) bytes[at] = value;
            const { kind } = decodeDnsReply(bytes, 7, 'a.example', type);
            assert.ok(['answer', 'truncated', 'foreign', 'refused'].includes(kind));
          },
        ),
        { numRuns: 1_000 },
      );
    });
  }
});

describe('names of the DNS', () => {
  it('are folded, and refused when nobody could have them', () => {
    assert.equal(parseDnsName('_SIP._udp.Example.'), '_sip._udp.example');
    for (const bad of [
      '',
      '.',
      'a..b',
      'a b',
      'a.b..',
      'é.example',
      'a'.repeat(64),
      'a.'.repeat(127) + 'b',
    ]) {
      assert.equal(parseDnsName(bad), undefined, bad);
    }
  });

  it('end however their pointers lead', () => {
    const toItself = Buffer.from([0xc0, 0x00]);
    const eachOther = Buffer.from([0xc0, 0x02, 0xc0, 0x00]);
    const forwards = Buffer.from([0xc0, 0x02, 0x01, 0x61, 0x00]);
    assert.throws(() => readName(toItself, 0), RangeError);
    assert.throws(() => readName(eachOther, 2), RangeError);
    assert.throws(() => readName(forwards, 0), RangeError);
    const backwards = Buffer.from([0x01, 0x41, 0x00, 0x01, 0x62, 0xc0, 0x00]);
    assert.deepEqual(readName(backwards, 3), { text: 'b.a', next: 7 });
  });

  it('follow no more pointers than a name has labels', () => {
    const chain = (pointers: number): Buffer => {
      const bytes = Buffer.alloc(3 + 2 * pointers);
      bytes.write('\x01a\0', 'latin1');
      for (let at = 0; at < pointers; at++) {
        bytes.writeUInt16BE(0xc000 + (at === 0 ? 0 : 1 + 2 * at), 3 + 2 * at);
      }
      return bytes;
    };
    assert.equal(readName(chain(127), 3 + 2 * 126).text, 'a');
    assert.throws(() => readName(chain(128), 3 + 2 * 127), RangeError);
  });

  it('are no longer than they may be, and equal none with octets of their own', () => {
    const label = Buffer.from([63, ...Buffer.alloc(63, 0x61)]);
    const long = Buffer.concat([label, label, label, label, Buffer.from([0])]);
    assert.throws(() => readName(long, 0), RangeError);
    const dotted = Buffer.from([0x03, 0x61, 0x2e, 0x62, 0x00]);
    assert.equal(readName(dotted, 0).text, 'a?b');
  });
});
