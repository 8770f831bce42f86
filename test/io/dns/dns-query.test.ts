import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { after, describe, it } from 'node:test';
import dnsPacket from 'dns-packet';
import type { Packet } from 'dns-packet';
import fc from 'fast-check';
import { decodeDnsReply, encodeDnsQuery } from '../../../src/io/dns/dns-message.ts';
import {
  createNaptrQuery,
  EnumResolver,
  parseDnsServer,
  SipResolver,
} from '../../../src/io/dns/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { freeSipPorts } from '../../support/free-port.ts';

type Answerer = (question: Packet) => Partial<Packet> | undefined;

const naptr = (regexp: string, ttl = 77): NonNullable<Packet['answers']>[number] => ({
  type: 'NAPTR',
  name: '9.8.6.4.e164.arpa',
  ttl,
  data: { order: 100, preference: 10, flags: 'u', services: 'E2U+sip', regexp, replacement: '.' },
});

const open: (Socket | Server)[] = [];
after(() => {
  for (const socket of open) socket.close();
});

/** A DNS server on loopback, over UDP and TCP on one port; returns its `host:port`. */
async function serve(udp: Answerer, tcp?: Answerer): Promise<string> {
  const reply = (question: Packet, answerer: Answerer): Packet | undefined => {
    const answer = answerer(question);
    if (answer === undefined) return undefined;
    return {
      type: 'response',
      id: question.id,
      questions: question.questions,
      ...answer,
    };
  };
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => {
    const answer = reply(dnsPacket.decode(bytes), udp);
    if (answer !== undefined) socket.send(dnsPacket.encode(answer), from.port, from.address);
  });
  const [port] = (await freeSipPorts(1)) as [number];
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  open.push(socket);
  if (tcp !== undefined) {
    const server = createServer((connection) => {
      connection.on('data', (bytes) => {
        const answer = reply(dnsPacket.streamDecode(bytes), tcp);
        if (answer !== undefined) connection.write(dnsPacket.streamEncode(answer));
      });
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    open.push(server);
  }
  return `127.0.0.1:${port}`;
}

const never = new AbortController().signal;

describe('NAPTR query over loopback', () => {
  it('gives records and the least TTL', async () => {
    const server = await serve(() => ({
      answers: [naptr('!^.*$!sip:a@b!', 900), naptr('!^.*$!sip:c@d!', 60)],
    }));
    const answer = await createNaptrQuery([server], 100)('9.8.6.4.e164.arpa', never);
    assert.equal(answer.ttlSeconds, 60);
    assert.deepEqual(answer.records[0], {
      order: 100,
      preference: 10,
      flags: 'u',
      service: 'E2U+sip',
      regexp: '!^.*$!sip:a@b!',
      replacement: '',
    });
    assert.equal(answer.records.length, 2);
  });

  it('asks again over TCP what did not fit', async () => {
    const server = await serve(
      () => ({ flags: dnsPacket.TRUNCATED_RESPONSE }),
      () => ({ answers: [naptr('!^.*$!sip:tcp@b!')] }),
    );
    const answer = await createNaptrQuery([server], 100)('9.8.6.4.e164.arpa', never);
    assert.equal(answer.records[0]!.regexp, '!^.*$!sip:tcp@b!');
  });

  it('asks the next server when the first refuses', async () => {
    const servers = [
      await serve(() => ({ flags: 5 })),
      await serve(() => ({ answers: [naptr('!^.*$!sip:second@b!')] })),
    ];
    const answer = await createNaptrQuery(servers, 1)('9.8.6.4.e164.arpa', never);
    assert.equal(answer.records[0]!.regexp, '!^.*$!sip:second@b!');
  });

  it('takes the life of a denial from the SOA', async () => {
    const server = await serve(() => ({
      flags: 3,
      authorities: [
        {
          type: 'SOA',
          name: 'e164.arpa',
          ttl: 500,
          data: { mname: 'a', rname: 'b', serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 45 },
        },
      ],
    }));
    const answer = await createNaptrQuery([server], 100)('9.8.6.4.e164.arpa', never);
    assert.deepEqual(answer, { records: [], ttlSeconds: 45 });
  });

  it('rejects when every server refuses', async () => {
    const server = await serve(() => ({ flags: 2 }));
    await assert.rejects(createNaptrQuery([server], 1)('9.8.6.4.e164.arpa', never));
  });

  it('ends when it is aborted', async () => {
    const abort = new AbortController();
    const server = await serve(() => {
      abort.abort();
      return undefined;
    });
    await assert.rejects(createNaptrQuery([server], 1)('9.8.6.4.e164.arpa', abort.signal));
  });

  it('goes on to the next server when one cannot be sent to', async () => {
    // The system refuses to connect a socket to these, before anything is sent.
    const unusable = ['255.255.255.255:53', '[fe80::1]:53'];
    const server = await serve(() => ({ answers: [naptr('!a!b!')] }));
    const answer = await createNaptrQuery([...unusable, server], 1)('9.8.6.4.e164.arpa', never);
    assert.equal(answer.records.length, 1);
    await assert.rejects(createNaptrQuery(unusable, 1)('9.8.6.4.e164.arpa', never), AggregateError);
  });

  it('asks nobody when it is aborted before', async () => {
    let asked = 0;
    const server = await serve(() => {
      asked += 1;
      return { flags: 2 };
    });
    const query = createNaptrQuery([server, server], 60_000);
    await assert.rejects(query('9.8.6.4.e164.arpa', AbortSignal.abort()));
    assert.equal(asked, 0);
    assert.ok(!process.getActiveResourcesInfo().includes('Timeout'), 'a timer waits for nothing');
  });

  it('serves the resolver from end to end', async () => {
    const server = await serve((question) => {
      assert.equal(question.questions?.[0]?.name, '9.8.6.4.e164.arpa');
      return { answers: [naptr('!^\\+46(.*)$!sip:\\1@se.example!')] };
    });
    const resolver = new EnumResolver({
      query: createNaptrQuery([server], 100),
      clock: { now: () => 0, after: () => () => undefined },
      counters: new Counters(),
    });
    assert.equal(resolver.resolve('+4689'), undefined);
    await resolver.whenKnown('+4689');
    assert.equal(resolver.resolve('+4689'), 'sip:89@se.example');
  });
});

describe('the SIP resolver over loopback', () => {
  const a = (address: string): Partial<Packet> => ({
    answers: [{ type: 'A', name: 'a.example', ttl: 60, data: address }],
  });

  function addressOf(servers: readonly string[], counters = new Counters()): Promise<string[]> {
    const resolver = new SipResolver({
      servers,
      timeoutMs: 1_000,
      counters,
      now: () => performance.now(),
      transports: new Set(['UDP']),
      families: [4],
      hosts: new Map(),
    });
    const destination = { scheme: 'sip', host: 'a.example', port: 5_060, transport: undefined };
    return new Promise((resolve) => {
      resolver.resolve(destination, '', (targets) => {
        resolve(targets.map(({ address }) => address));
      });
    });
  }

  it('asks the next server when one is silent or refuses', async () => {
    const silent = await serve(() => undefined);
    const refusing = await serve(() => ({ flags: 5 }));
    const knowing = await serve(() => a('192.0.2.1'));
    assert.deepEqual(await addressOf([silent, refusing, knowing]), ['192.0.2.1']);
  });

  it('asks a second time where a datagram was lost', async () => {
    let asked = 0;
    const server = await serve(() => {
      asked += 1;
      return asked === 1 ? undefined : a('192.0.2.1');
    });
    assert.deepEqual(await addressOf([server]), ['192.0.2.1']);
    assert.equal(asked, 2);
  });

  it('asks over TCP what did not fit', async () => {
    const server = await serve(
      () => ({ flags: dnsPacket.TRUNCATED_RESPONSE }),
      () => a('192.0.2.7'),
    );
    assert.deepEqual(await addressOf([server]), ['192.0.2.7']);
  });

  it('gives up when no server tells', async () => {
    const counters = new Counters();
    const server = await serve(() => ({ flags: 2 }));
    assert.deepEqual(await addressOf([server], counters), []);
    assert.equal(counters.get('sip_dns_lookups', 'failed'), 1);
  });
});

describe('DNS messages', () => {
  it('are encoded as another implementation reads them', () => {
    const decoded = dnsPacket.decode(encodeDnsQuery(4_711, '1.2.e164.arpa', 'NAPTR'));
    assert.equal(decoded.id, 4_711);
    assert.equal(decoded.flag_rd, true);
    assert.deepEqual(decoded.questions, [{ name: '1.2.e164.arpa', type: 'NAPTR', class: 'IN' }]);
  });

  const reply = (parts: Partial<Packet>): Buffer =>
    dnsPacket.encode({
      type: 'response',
      id: 7,
      questions: [{ type: 'NAPTR', name: '9.8.6.4.e164.arpa' }],
      answers: [naptr('!^.*$!sip:a@b!')],
      ...parts,
    });
  const kindOf = (bytes: Buffer): string =>
    decodeDnsReply(bytes, 7, '9.8.6.4.E164.arpa', 'NAPTR').kind;

  it('are taken only as replies to the query', () => {
    assert.equal(kindOf(reply({})), 'answer');
    assert.equal(kindOf(reply({ id: 8 })), 'foreign');
    assert.equal(kindOf(reply({ type: 'query' })), 'foreign');
    assert.equal(kindOf(reply({ questions: [{ type: 'NAPTR', name: 'x' }] })), 'foreign');
    assert.equal(
      kindOf(reply({ questions: [{ type: 'A', name: '9.8.6.4.e164.arpa' }] })),
      'foreign',
    );
    assert.equal(kindOf(Buffer.alloc(0)), 'foreign');
  });

  it('are read to their end or not at all', () => {
    const whole = reply({});
    for (let length = 0; length < whole.length; length += 1) {
      assert.equal(kindOf(whole.subarray(0, length)), 'foreign', `${length} bytes`);
    }
  });

  it('never make the reader throw', () => {
    const whole = reply({});
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
        (changes) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of changes) bytes[at] = value;
          assert.ok(['answer', 'truncated', 'foreign', 'refused'].includes(kindOf(bytes)));
        },
      ),
    );
  });
});

describe('addresses of DNS servers', () => {
  for (const [text, host, port] of [
    ['192.0.2.1', '192.0.2.1', 53],
    ['192.0.2.1:5353', '192.0.2.1', 5353],
    ['2001:db8::1', '2001:db8::1', 53],
    ['[2001:db8::1]:5353', '2001:db8::1', 5353],
    ['dns.example', 'dns.example', 53],
  ] as const) {
    it(`read ${text}`, () => {
      assert.deepEqual(parseDnsServer(text), { host, port });
    });
  }

  it('refuse what is none', () => {
    assert.throws(() => parseDnsServer('a:b'), /"a:b" is no DNS server/);
  });
});
