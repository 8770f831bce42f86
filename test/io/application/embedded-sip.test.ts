import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  CreateApplication,
  EmbeddedApplication,
  EmbeddedSipRequest,
  EmbeddedSipResponse,
} from '../../../src/io/application/module.ts';
import { HostBench, sipRequest, statuses } from './embedded-bench.ts';

async function serving(application: EmbeddedApplication): Promise<HostBench> {
  const bench = new HostBench(() => application);
  await bench.host.start();
  return bench;
}

function answering(response: EmbeddedSipResponse): Promise<HostBench> {
  return serving({
    sip: (request) => {
      request.respond(response);
    },
  });
}

describe('a SIP request to an embedded application', () => {
  it('is read by header, user and dialog', async () => {
    let seen: EmbeddedSipRequest | undefined;
    const bench = await serving({ sip: (request) => void (seen = request) });
    bench.send('MESSAGE', {
      requestUri: 'sip:a%20b@cluster.example.com;x=1',
      toTag: 'known',
      headers: ['k: 100rel, path', 'Supported: gruu', 's: Hello'],
      body: 'text',
    });
    assert.ok(seen);
    assert.equal(seen.method, 'MESSAGE');
    assert.equal(seen.user, 'a b');
    assert.equal(seen.requestUri, 'sip:a%20b@cluster.example.com;x=1');
    assert.deepEqual(seen.headers('supported'), ['100rel', 'path', 'gruu']);
    assert.equal(seen.header('Subject'), 'Hello');
    assert.equal(seen.callId, 'call@client');
    assert.equal(seen.fromTag, 'caller');
    assert.equal(seen.toTag, 'known');
    assert.equal(Buffer.from(seen.body).toString(), 'text');
  });

  it('gets a response that copies what the request must give, byte for byte', async () => {
    const bench = await answering({
      status: 200,
      toTag: 'mine',
      headers: [['Contact', '<sip:é@h>']],
      body: 'ü',
    });
    bench.host.deliverSip(sipRequest('INVITE', { branch: 'z9hG4bKx' }));
    assert.equal(
      bench.bytes[0]!.toString(),
      [
        'SIP/2.0 200 OK',
        'Via: SIP/2.0/UDP cluster.example.com:5060;branch=z9hG4bKx;peer=a',
        'v: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKclient;received=198.51.100.7, SIP/2.0/TCP inner',
        'Record-Route: <sip:cluster.example.com;lr;bekey=k>',
        'From: "Ann \\"A\\"" <sip:ann@example.com>;tag=caller',
        'To: <sip:42@example.com>;tag=mine',
        'Call-ID: call@client',
        'CSeq: 1 INVITE',
        'Contact: <sip:é@h>',
        'Content-Length: 2',
        '',
        'ü',
      ].join('\r\n'),
    );
  });

  it('keeps the To tag of a dialog and has no Record-Route where none is made', async () => {
    const bench = await answering({ status: 200, toTag: 'mine' });
    const [response] = bench.send('BYE', { toTag: 'theirs' });
    assert.equal(response!.toTag, 'theirs');
    assert.deepEqual(response!.headers('Record-Route'), []);
  });

  it('gets one To tag for all answers when the module gives none', async () => {
    const bench = await serving({
      sip: (request) => {
        request.respond({ status: 180 });
        request.respond({ status: 603, reason: 'No Thanks' });
      },
    });
    const responses = bench.send('INVITE');
    assert.deepEqual(
      responses.map(({ status, toTag }) => [status, toTag]),
      [
        [180, 'host1'],
        [603, 'host1'],
      ],
    );
  });

  it('is shown once, however often it comes', async () => {
    let calls = 0;
    const bench = await serving({
      sip: (request) => {
        calls++;
        request.respond({ status: 200 });
      },
    });
    bench.send('OPTIONS', { branch: 'z9hG4bKsame' });
    assert.deepEqual(statuses(bench.send('OPTIONS', { branch: 'z9hG4bKsame' })), [200]);
    assert.equal(calls, 1);
    assert.equal(bench.counters.get('application_sip', 'retransmission'), 1);
  });

  it('has its 2xx repeated until the ACK, which the module sees once', async () => {
    const methods: string[] = [];
    const bench = await serving({
      sip: (request) => {
        methods.push(request.method);
        if (request.method === 'INVITE') {
          request.respond({ status: 200, toTag: 'mine' });
        }
      },
    });
    bench.send('INVITE');
    assert.deepEqual(statuses(bench.advance(500)), [200]);
    bench.send('ACK', { toTag: 'mine' });
    bench.send('ACK', { toTag: 'mine' });
    assert.deepEqual(statuses(bench.advance(32_000)), []);
    assert.deepEqual(methods, ['INVITE', 'ACK']);
    assert.equal(bench.time.pending, 0, 'nothing waits when all transactions are over');
  });

  it('is counted when its 2xx is never acknowledged', async () => {
    const bench = await answering({ status: 200 });
    bench.send('INVITE');
    bench.advance(32_010);
    assert.equal(bench.counters.get('application_sip', 'ack-missing'), 1);
  });

  it('gets 100 while the module thinks, with the headers that the module wants on all', async () => {
    const bench = await serving({ sip: () => undefined, sipHeaders: [['X-Served-By', 'a']] });
    bench.send('INVITE');
    const [trying] = bench.advance(200);
    assert.equal(trying!.status, 100);
    assert.equal(trying!.header('X-Served-By'), 'a');
  });

  it('is ended when the module never answers, and a late answer is ignored', async () => {
    let request: EmbeddedSipRequest | undefined;
    const bench = await serving({ sip: (one) => void (request = one) });
    bench.send('INVITE');
    assert.deepEqual(statuses(bench.advance(600_000)), [100, 408]);
    request!.respond({ status: 200 });
    assert.deepEqual(bench.responses(), []);
    assert.equal(bench.counters.get('application_sip', 'answer-missing'), 1);
    assert.match(bench.logs.join(), /never answered INVITE/);
  });

  it('without handler is answered 405, but an ACK is not', async () => {
    const bench = await serving({});
    const [refused] = bench.send('OPTIONS');
    assert.equal(refused!.status, 405);
    assert.equal(refused!.header('Allow'), '');
    assert.deepEqual(bench.send('ACK', { toTag: 'x' }), []);
  });

  it('that is none is dropped and counted', async () => {
    const bench = await answering({ status: 200 });
    assert.equal(bench.host.deliverSip(Buffer.from('nonsense')), true);
    assert.equal(bench.host.deliverSip(Buffer.from('SIP/2.0 200 OK\r\n\r\n')), true);
    assert.equal(bench.counters.get('application_sip', 'not-sip'), 1);
    assert.equal(bench.counters.get('application_sip', 'not-a-request'), 1);
    assert.deepEqual(bench.responses(), []);
  });
});

describe('a CANCEL to an embedded application', () => {
  it('reaches the listeners, who answer the INVITE', async () => {
    const bench = await serving({
      sip: (request) => {
        request.onCancel(() => {
          request.respond({ status: 487 });
        });
      },
    });
    bench.send('INVITE', { branch: 'z9hG4bKc1' });
    const responses = bench.send('CANCEL', { branch: 'z9hG4bKc1' });
    assert.deepEqual(
      responses.map(({ status, cseqMethod }) => [status, cseqMethod]),
      [
        [200, 'CANCEL'],
        [487, 'INVITE'],
      ],
    );
  });

  it('is answered by the peer when nobody listens, and what the module says later is ignored', async () => {
    let request: EmbeddedSipRequest | undefined;
    const bench = await serving({ sip: (one) => void (request = one) });
    bench.send('INVITE', { branch: 'z9hG4bKc2' });
    assert.deepEqual(statuses(bench.send('CANCEL', { branch: 'z9hG4bKc2' })), [200, 487]);
    let heard = 0;
    request!.onCancel(() => heard++);
    request!.respond({ status: 200 });
    assert.equal(heard, 1, 'who listens late hears at once');
    assert.deepEqual(bench.responses(), []);
  });

  it('after the final answer is heard by nobody', async () => {
    let heard = 0;
    const bench = await serving({
      sip: (request) => {
        request.onCancel(() => heard++);
        request.respond({ status: 200 });
      },
    });
    bench.send('INVITE', { branch: 'z9hG4bKc3' });
    assert.deepEqual(statuses(bench.send('CANCEL', { branch: 'z9hG4bKc3' })), [200]);
    assert.equal(heard, 0);
  });

  it('of an unknown INVITE is answered 481', async () => {
    const bench = await answering({ status: 200 });
    assert.deepEqual(statuses(bench.send('CANCEL')), [481]);
  });
});

describe('a module that errs', () => {
  const bad: readonly (readonly [name: string, response: EmbeddedSipResponse])[] = [
    ['a line break in a header value', { status: 200, headers: [['X-A', 'a\r\nVia: x']] }],
    ['a bare line feed in a header value', { status: 200, headers: [['X-A', 'a\nb']] }],
    ['a NUL in a header value', { status: 200, headers: [['X-A', 'a\0']] }],
    ['a header name that is no token', { status: 200, headers: [['X A', 'a']] }],
    ['a header that the request gives', { status: 200, headers: [['Call-ID', 'a']] }],
    ['the same in compact form', { status: 200, headers: [['V', 'a']] }],
    ['a line break in the reason', { status: 200, reason: 'OK\r\nX: y' }],
    ['a tag that is no token', { status: 200, toTag: 'a;b' }],
    ['no status', { status: 99 }],
    ['half a status', { status: 200.5 }],
    ['a body without end', { status: 200, body: 'x'.repeat(65_537) }],
  ];
  for (const [name, response] of bad) {
    it(`answers 500 for ${name}`, async () => {
      const bench = await answering(response);
      const [failed, ...others] = bench.send('INVITE');
      assert.equal(failed!.status, 500);
      assert.deepEqual(others, []);
      assert.equal(bench.counters.get('application_sip', 'handler-error'), 1);
      assert.match(bench.logs.join(), /^error: the application failed on INVITE/);
    });
  }

  it('answers 500 once when an asynchronous handler rejects', async () => {
    const sip = (async () => {
      await Promise.resolve();
      throw new Error('planned');
    }) as unknown as NonNullable<EmbeddedApplication['sip']>;
    const bench = await serving({ sip });
    bench.send('INFO');
    await new Promise(setImmediate);
    assert.deepEqual(statuses(bench.responses()), [500]);
  });

  it('is only logged when it throws after its answer', async () => {
    const bench = await serving({
      sip: (request) => {
        request.respond({ status: 200 });
        throw new Error('planned');
      },
    });
    assert.deepEqual(statuses(bench.send('INFO')), [200]);
    assert.equal(bench.counters.get('application_sip', 'handler-error'), 1);
  });

  it('hears of a second final answer and of an answer to ACK by an exception', async () => {
    const heard: string[] = [];
    const bench = await serving({
      sip: (request) => {
        try {
          request.respond({ status: 200 });
          request.respond({ status: 200 });
        } catch (error) {
          heard.push((error as Error).message);
        }
      },
    });
    assert.deepEqual(statuses(bench.send('INFO')), [200]);
    assert.deepEqual(bench.send('ACK', { toTag: 'x' }), []);
    assert.deepEqual(heard, ['INFO has its final answer already', 'ACK takes no answer']);
  });
});

describe('the host', () => {
  it('delivers nothing before its start and after its stop', async () => {
    let stopped = 0;
    let request: EmbeddedSipRequest | undefined;
    const bench = new HostBench(() => ({
      sip: (one) => void (request = one),
      stop: () => {
        stopped++;
      },
    }));
    assert.equal(bench.host.deliverSip(sipRequest('OPTIONS')), false);
    await bench.host.start();
    bench.send('OPTIONS');
    await bench.host.stop();
    assert.equal(bench.host.deliverSip(sipRequest('OPTIONS')), false);
    request!.respond({ status: 200 });
    assert.deepEqual(bench.responses(), []);
    assert.equal(stopped, 1);
    assert.equal(bench.time.pending, 0);
  });

  it('tells the module its instance and gives it a log', async () => {
    const create: CreateApplication = (context) => {
      context.log('info', `I serve ${context.instance}`);
      return Promise.resolve({});
    };
    const bench = new HostBench(create);
    await bench.host.start();
    assert.deepEqual(bench.logs, ['info: I serve a']);
  });

  it('loads a module by its path, and says why it cannot', async () => {
    const path = (name: string): string => new URL(`../../../${name}`, import.meta.url).pathname;
    const bench = new HostBench(path('src/demo/conference.ts'));
    await bench.host.start();
    assert.deepEqual(statuses(bench.send('OPTIONS')), [200]);
    await bench.host.stop();
    await assert.rejects(
      new HostBench('/nowhere/app.js').host.start(),
      /nowhere.*cannot be loaded/,
    );
    await assert.rejects(
      new HostBench(path('src/ring/ring.ts')).host.start(),
      /exports no function createApplication/,
    );
  });
});
