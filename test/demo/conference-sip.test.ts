import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SipMessage } from '../../src/sip/index.ts';
import {
  statuses,
  type HostBench,
  type SipRequestParts,
} from '../io/application/embedded-bench.ts';
import { conference } from './conference-bench.ts';

interface Participants {
  participants: { callId: string; from: string; since: string }[];
}

/** Calls, is answered and acknowledges; gives the tag of the dialog. */
function call(bench: HostBench, parts: SipRequestParts = {}): string {
  const [, answer] = [...bench.send('INVITE', parts), ...bench.advance(100)];
  assert.equal(answer!.status, 200);
  const { toTag } = answer!;
  bench.send('ACK', { ...parts, toTag });
  return toTag!;
}

async function callIds(bench: HostBench, name: string): Promise<string[]> {
  const target = `/conference?ConferenceName=${encodeURIComponent(name)}`;
  const { text } = await bench.fetch(target, [['Accept', 'application/json']]);
  return (JSON.parse(text) as Participants).participants.map(({ callId }) => callId);
}

function media(answer: SipMessage | undefined): string[] {
  return answer!.body
    .toString()
    .split('\r\n')
    .filter((line) => /^[ma]=/.test(line));
}

describe('an INVITE to the conference', () => {
  it('is answered 180 and within 100 ms 200 with Contact, Record-Route and SDP', async () => {
    const bench = await conference();
    const [ringing] = bench.send('INVITE', { user: 'room1' });
    const [answer] = bench.advance(100);
    assert.deepEqual(statuses([ringing!, answer!]), [180, 200]);
    for (const response of [ringing!, answer!]) {
      assert.equal(response.header('Contact'), '<sip:room1@cluster.example.com:5060>');
      assert.equal(response.headers('Record-Route').length, 1);
      assert.equal(response.header('X-Served-By'), 'a');
      assert.equal(response.toTag, ringing!.toTag);
    }
    assert.equal(answer!.header('Content-Type'), 'application/sdp');
    assert.deepEqual(media(answer), ['m=audio 9 RTP/AVP 0', 'a=inactive']);
  });

  it('has one line of the answer for each stream of the offer', async () => {
    const bench = await conference();
    const body =
      'v=0\r\nm=video 6002 RTP/AVP 31\r\nm=audio 6000 RTP/AVP 8 0\r\nm=audio 6004 RTP/AVP 0\r\n';
    bench.send('INVITE', { body, headers: ['c: application/sdp;x=y'] });
    assert.deepEqual(media(bench.advance(100)[0]), [
      'm=video 0 RTP/AVP 31',
      'm=audio 9 RTP/AVP 8',
      'a=inactive',
      'm=audio 0 RTP/AVP 0',
    ]);
  });

  it('is refused when busy, of an unknown content type, or in want of an extension', async () => {
    const bench = await conference();
    const [busy] = bench.send('INVITE', { user: 'busy' });
    assert.equal(busy!.status, 486);
    const [type] = bench.send('INVITE', {
      cseq: 2,
      body: 'x',
      headers: ['Content-Type: text/plain'],
    });
    assert.equal(type!.status, 415);
    assert.equal(type!.header('Accept'), 'application/sdp');
    const [extension] = bench.send('INVITE', { cseq: 3, headers: ['Require: 100rel, timer'] });
    assert.equal(extension!.status, 420);
    assert.equal(extension!.header('Unsupported'), 'timer');
    assert.deepEqual(
      bench.advance(1_000).filter(({ status }) => status < 300),
      [],
    );
  });

  it('rings for 30 s at the user ring', async () => {
    const bench = await conference();
    assert.deepEqual(statuses(bench.send('INVITE', { user: 'ring' })), [180]);
    assert.deepEqual(statuses(bench.advance(29_999)), []);
    assert.deepEqual(statuses(bench.advance(1)), [480]);
  });

  it('is ended by CANCEL with 487', async () => {
    const bench = await conference();
    bench.send('INVITE', { user: 'ring', branch: 'z9hG4bKring' });
    const responses = bench.send('CANCEL', { user: 'ring', branch: 'z9hG4bKring' });
    assert.deepEqual(statuses(responses), [200, 487]);
    assert.ok(responses.every((response) => response.header('X-Served-By') === 'a'));
    bench.send('ACK', { user: 'ring', branch: 'z9hG4bKring', toTag: responses[1]!.toTag });
    assert.deepEqual(bench.advance(60_000), []);
  });

  it('that is answered survives a late CANCEL', async () => {
    const bench = await conference();
    bench.send('INVITE', { branch: 'z9hG4bKlate' });
    const toTag = bench.advance(100)[0]!.toTag;
    assert.deepEqual(statuses(bench.send('CANCEL', { branch: 'z9hG4bKlate' })), [200]);
    bench.send('ACK', { toTag });
    assert.deepEqual(statuses(bench.send('BYE', { toTag, cseq: 2 })), [200]);
  });
});

describe('a reliable provisional answer', () => {
  const parts = { user: 'ring', headers: ['Require: 100rel'], branch: 'z9hG4bKrel' };

  it('is repeated until its PRACK', async () => {
    const bench = await conference();
    const [ringing] = bench.send('INVITE', parts);
    assert.equal(ringing!.header('Require'), '100rel');
    const rseq = Number(ringing!.header('RSeq'));
    assert.ok(rseq > 0 && rseq < 2 ** 31);
    assert.deepEqual(statuses(bench.advance(1_500)), [180, 180]);
    const { toTag } = ringing!;
    const prack = (rack: string): number[] =>
      statuses(bench.send('PRACK', { user: 'ring', toTag, cseq: 2, headers: [`RAck: ${rack}`] }));
    assert.deepEqual(prack(`${rseq + 1} 1 INVITE`), [481]);
    assert.deepEqual(prack(`${rseq} 2 INVITE`), [481]);
    assert.deepEqual(prack(`${rseq} 1 UPDATE`), [481]);
    assert.deepEqual(prack(`${rseq} 1 INVITE`), [200]);
    assert.deepEqual(prack(`${rseq} 1 INVITE`), [481]);
    assert.deepEqual(statuses(bench.advance(20_000)), []);
  });

  it('is no longer repeated after the final answer, and its PRACK is still known', async () => {
    const bench = await conference();
    const [ringing] = bench.send('INVITE', { ...parts, user: '42' });
    const [answer] = bench.advance(100);
    bench.send('ACK', { toTag: answer!.toTag });
    assert.deepEqual(bench.advance(10_000), []);
    const headers = [`RAck: ${ringing!.header('RSeq')} 1 INVITE`];
    const { toTag } = answer!;
    assert.deepEqual(statuses(bench.send('PRACK', { toTag, cseq: 2, headers })), [200]);
  });

  it('is not made for a caller who only supports it', async () => {
    const bench = await conference();
    const [ringing] = bench.send('INVITE', { headers: ['Supported: 100rel'] });
    assert.equal(ringing!.header('RSeq'), undefined);
  });

  it('of an unknown dialog gives 481', async () => {
    const bench = await conference();
    const headers = ['RAck: 1 1 INVITE'];
    assert.deepEqual(statuses(bench.send('PRACK', { toTag: 'x', headers })), [481]);
  });
});

describe('a request within a call', () => {
  it('BYE ends it, once', async () => {
    const bench = await conference();
    const toTag = call(bench);
    assert.deepEqual(statuses(bench.send('BYE', { toTag, cseq: 2 })), [200]);
    assert.deepEqual(statuses(bench.send('BYE', { toTag, cseq: 3 })), [481]);
  });

  it('BYE before the answer ends the INVITE too', async () => {
    const bench = await conference();
    const [ringing] = bench.send('INVITE', { user: 'ring' });
    const responses = bench.send('BYE', { user: 'ring', toTag: ringing!.toTag, cseq: 2 });
    assert.deepEqual(
      responses.map(({ status, cseqMethod }) => `${status} ${cseqMethod}`),
      ['487 INVITE', '200 BYE'],
    );
  });

  it('re-INVITE is answered at once with the next version of the session', async () => {
    const bench = await conference();
    const toTag = call(bench);
    const [answer] = bench.send('INVITE', { toTag, cseq: 2 });
    assert.equal(answer!.status, 200);
    assert.equal(answer!.header('Contact'), '<sip:42@cluster.example.com:5060>');
    assert.match(answer!.body.toString(), /o=sailring \d+ 2 IN IP4/);
  });

  it('re-INVITE out of order is answered 500', async () => {
    const bench = await conference();
    const toTag = call(bench, { cseq: 5 });
    const [refused] = bench.send('INVITE', { toTag, cseq: 4 });
    assert.equal(refused!.status, 500);
    assert.equal(refused!.header('Retry-After'), '1');
  });

  it('UPDATE, INFO, MESSAGE and OPTIONS are answered 200', async () => {
    const bench = await conference();
    const toTag = call(bench);
    const [update] = bench.send('UPDATE', { toTag, cseq: 2 });
    assert.equal(update!.status, 200);
    assert.equal(update!.body.length, 0);
    const headers = ['Content-Type: application/sdp'];
    const body = 'm=audio 6000 RTP/AVP 0\r\n';
    const [offer] = bench.send('UPDATE', { toTag, cseq: 3, headers, body });
    assert.deepEqual(media(offer), ['m=audio 9 RTP/AVP 0', 'a=inactive']);
    for (const method of ['INFO', 'MESSAGE', 'OPTIONS']) {
      assert.deepEqual(statuses(bench.send(method, { toTag, cseq: 4 })), [200]);
    }
  });

  it('of an unknown dialog is answered 481', async () => {
    const bench = await conference();
    const toTag = call(bench);
    for (const method of ['BYE', 'INVITE', 'UPDATE', 'INFO', 'MESSAGE', 'OPTIONS', 'SUBSCRIBE']) {
      const headers = ['Event: conference'];
      for (const other of [{ toTag: 'x' }, { toTag, callId: 'x' }, { toTag, fromTag: 'x' }]) {
        assert.deepEqual(statuses(bench.send(method, { ...other, headers, cseq: 9 })), [481]);
      }
    }
    assert.deepEqual(bench.send('ACK', { toTag: 'x' }), []);
  });
});

describe('the participants of a conference', () => {
  it('are known by header, else by the user part', async () => {
    const bench = await conference();
    call(bench, { callId: 'one', user: 'anyone', headers: ['ConferenceName:  42 '] });
    call(bench, { callId: 'two', user: '42' });
    call(bench, { callId: 'three', user: '43' });
    assert.deepEqual(await callIds(bench, '42'), ['one', 'two']);
    assert.deepEqual(await callIds(bench, '43'), ['three']);
  });

  it('come with the answer and leave with the BYE', async () => {
    const bench = await conference();
    bench.send('INVITE');
    assert.deepEqual(await callIds(bench, '42'), []);
    const { toTag } = bench.advance(100)[0]!;
    assert.deepEqual(await callIds(bench, '42'), ['call@client']);
    bench.send('BYE', { toTag, cseq: 2 });
    assert.deepEqual(await callIds(bench, '42'), []);
  });

  it('leave when they never acknowledge, and after four hours without BYE', async () => {
    const bench = await conference();
    call(bench, { callId: 'acknowledged' });
    bench.send('INVITE', { callId: 'silent' });
    bench.advance(31_000);
    assert.deepEqual(await callIds(bench, '42'), ['acknowledged', 'silent']);
    bench.advance(3_000);
    assert.deepEqual(await callIds(bench, '42'), ['acknowledged']);
    bench.advance(14_400_000);
    assert.deepEqual(await callIds(bench, '42'), []);
    bench.advance(1_000_000);
    assert.equal(bench.time.pending, 0, 'nothing is swept when nothing is kept');
  });
});

describe('other requests to the demo', () => {
  it('MESSAGE is answered 200 outside a dialog, INFO 481', async () => {
    const bench = await conference();
    assert.deepEqual(statuses(bench.send('MESSAGE')), [200]);
    assert.deepEqual(statuses(bench.send('INFO')), [481]);
  });

  it('OPTIONS tells what the demo can do', async () => {
    const bench = await conference();
    const [options] = bench.send('OPTIONS');
    assert.equal(options!.status, 200);
    assert.ok(options!.headers('Allow').includes('PRACK'));
    assert.deepEqual(options!.headers('Supported'), ['100rel', 'path']);
    assert.equal(options!.header('Accept'), 'application/sdp');
  });

  it('an unknown method is answered 405 with Allow', async () => {
    const bench = await conference();
    const [refused] = bench.send('PUBLISH');
    assert.equal(refused!.status, 405);
    assert.ok(refused!.headers('Allow').includes('INVITE'));
    assert.equal(refused!.header('X-Served-By'), 'a');
  });

  it('SUBSCRIBE is granted for the conference event, refreshed, and ended', async () => {
    const bench = await conference();
    const headers = ['o: conference;id=1'];
    const [granted] = bench.send('SUBSCRIBE', { headers: [...headers, 'Expires: 3600'] });
    assert.equal(granted!.status, 200);
    assert.equal(granted!.header('Expires'), '300');
    assert.equal(granted!.header('Contact'), '<sip:42@cluster.example.com:5060>');
    const { toTag } = granted!;
    assert.deepEqual(statuses(bench.send('SUBSCRIBE', { headers, toTag })), [200]);
    const end = { headers: [...headers, 'Expires: 0'], toTag };
    assert.deepEqual(statuses(bench.send('SUBSCRIBE', end)), [200]);
    assert.deepEqual(statuses(bench.send('SUBSCRIBE', { headers, toTag })), [481]);
  });

  it('SUBSCRIBE for another event, or none, is answered 489', async () => {
    const bench = await conference();
    const [refused] = bench.send('SUBSCRIBE', { headers: ['Event: presence'] });
    assert.equal(refused!.status, 489);
    assert.equal(refused!.header('Allow-Events'), 'conference');
    assert.deepEqual(statuses(bench.send('SUBSCRIBE', { cseq: 2 })), [489]);
  });
});

describe('REGISTER', () => {
  const contacts = (response: SipMessage | undefined): string[] => response!.headers('Contact');
  let cseq = 0;
  /** Each registration of a client has a CSeq of its own (RFC 3261 section 10.2). */
  const send = (bench: HostBench, parts: SipRequestParts = {}): SipMessage[] =>
    bench.send('REGISTER', { cseq: ++cseq, ...parts });

  it('echoes bindings with their time left, Contact parameters and Path', async () => {
    const bench = await conference();
    const [first] = send(bench, {
      headers: [
        'Contact: "A" <sip:a@h;x=1>;expires=60;q=0.5, sip:b@h;+sip.instance="<u>"',
        'Expires: 7200',
        'Path: <sip:edge;lr>, <sip:cluster;lr;bekey=k>',
      ],
    });
    assert.equal(first!.status, 200);
    assert.deepEqual(contacts(first), [
      '<sip:a@h;x=1>;q=0.5;expires=60',
      '<sip:b@h>;+sip.instance="<u>";expires=300',
    ]);
    assert.deepEqual(first!.headers('Path'), ['<sip:edge;lr>', '<sip:cluster;lr;bekey=k>']);
    bench.advance(50_000);
    assert.deepEqual(contacts(send(bench)[0]), [
      '<sip:a@h;x=1>;q=0.5;expires=10',
      '<sip:b@h>;+sip.instance="<u>";expires=250',
    ]);
    bench.advance(10_000);
    assert.equal(contacts(send(bench)[0]).length, 1);
    bench.advance(600_000);
    assert.deepEqual(contacts(send(bench)[0]), []);
    bench.advance(60_000);
    assert.equal(bench.time.pending, 0);
  });

  it('replaces a binding, removes it by expires=0, and all by *', async () => {
    const bench = await conference();
    const register = (...headers: string[]): SipMessage => send(bench, { headers })[0]!;
    register('Contact: <sip:a@h>, <sip:b@h>, <sip:c@h>');
    assert.deepEqual(contacts(register('Contact: <sip:a@h>;expires=30')), [
      '<sip:b@h>;expires=300',
      '<sip:c@h>;expires=300',
      '<sip:a@h>;expires=30',
    ]);
    assert.equal(contacts(register('Contact: <sip:b@h>;expires=0')).length, 2);
    assert.equal(register('Contact: *').status, 400);
    assert.equal(register('Contact: *, <sip:a@h>', 'Expires: 0').status, 400);
    assert.deepEqual(contacts(register('Contact: *', 'Expires: 0')), []);
  });

  it('refuses too many bindings and a Contact that cannot be read', async () => {
    const bench = await conference();
    const many = Array.from({ length: 11 }, (_, index) => `Contact: <sip:${index}@h>`);
    assert.deepEqual(statuses(send(bench, { headers: many })), [403]);
    assert.deepEqual(statuses(send(bench, { headers: ['Contact: <sip:a@h'] })), [400]);
  });

  it('keeps users apart', async () => {
    const bench = await conference();
    send(bench, { user: 'ann', headers: ['Contact: <sip:a@h>'] });
    assert.deepEqual(contacts(send(bench, { user: 'bob' })[0]), []);
    assert.equal(contacts(send(bench, { user: 'ann' })[0]).length, 1);
  });
});

describe('a stop of the demo', () => {
  it('ends all timers', async () => {
    const bench = await conference();
    bench.send('INVITE', { user: 'ring' });
    call(bench, { callId: 'other' });
    await bench.host.stop();
    assert.equal(bench.time.pending, 0);
    assert.deepEqual(bench.advance(60_000), []);
  });
});
