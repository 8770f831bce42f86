import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { dialogLimits, transactionLimits } from '../../src/config/defaults.ts';
import { Dialogs } from '../../src/pipeline/dialogs.ts';

function request(method: string, callId: string, name = 'Call-ID'): Buffer {
  return Buffer.from(
    `${method} sip:b@example.com SIP/2.0\r\n${name}: ${callId}\r\nCSeq: 1 ${method}\r\n\r\n`,
  );
}

function response(status: number, callId: string, method = 'INVITE', body = ''): Buffer {
  return Buffer.from(
    `SIP/2.0 ${status} Word\r\nCall-ID: ${callId}\r\nCSeq: 1 ${method}\r\n\r\n${body}`,
  );
}

/** A message of the call `one`, with tags where they are not empty. */
function inDialog(first: string, cseq: string, fromTag: string, toTag: string): Buffer {
  const tag = (text: string): string => (text === '' ? '' : `;tag=${text}`);
  const from = `From: "A B" <sip:x@example.com>${tag(fromTag)}\r\n`;
  const to = `To: <sip:y@example.com>${tag(toTag)}\r\n`;
  return Buffer.from(`${first}\r\n${from}${to}Call-ID: one\r\nCSeq: ${cseq}\r\n\r\n`);
}

function given(): { dialogs: Dialogs; forgotten: () => number } {
  let forgotten = 0;
  const dialogs = new Dialogs(() => forgotten++);
  return { dialogs, forgotten: () => forgotten };
}

function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}

describe('the calls of an instance', () => {
  it('are counted from INVITE to BYE, whoever sends which', () => {
    const { dialogs } = given();
    dialogs.request(request('INVITE', 'one'), 0);
    dialogs.response(response(180, 'one'), 0);
    assert.equal(dialogs.size, 1);
    dialogs.response(response(200, 'one'), 0);
    dialogs.request(request('ACK', 'one'), 0);
    dialogs.request(request('INVITE', 'one'), 0);
    dialogs.response(response(491, 'one'), 0);
    assert.equal(dialogs.size, 1, 'a re-INVITE begins and ends nothing');
    dialogs.response(response(200, 'two'), 0);
    assert.equal(dialogs.size, 2, 'of a call under way when this process started');
    dialogs.request(request('BYE', 'one'), 0);
    dialogs.response(response(200, 'one', 'BYE'), 0);
    assert.equal(dialogs.size, 1);
  });

  for (const status of [302, 487, 503, 603])
    it(`end with a refusal: ${status}`, () => {
      const { dialogs } = given();
      dialogs.request(request('INVITE', 'one'), 0);
      dialogs.response(response(status, 'one', 'OPTIONS'), 0);
      assert.equal(dialogs.size, 1);
      dialogs.response(response(status, 'one'), 0);
      assert.equal(dialogs.size, 0);
    });

  it('are no registrations, messages or subscriptions', () => {
    const { dialogs } = given();
    for (const method of ['REGISTER', 'MESSAGE', 'SUBSCRIBE', 'BYEBYE', 'INFO']) {
      dialogs.request(request(method, 'one'), 0);
      dialogs.response(response(200, 'one', method), 0);
    }
    assert.equal(dialogs.size, 0);
  });

  it('are told apart by compact, folded and oddly spaced fields, and not by a line of the body', () => {
    const { dialogs } = given();
    dialogs.request(request('INVITE', 'one', 'i'), 0);
    dialogs.request(request('INVITE', '\r\n two', 'Call-ID'), 0);
    const odd =
      'SIP/2.0 200 OK\r\ncall-id :  one\r\ncseq: 1\tINVITE\r\n\r\n\r\nCall-ID: three\r\n\r\n';
    dialogs.response(Buffer.from(odd), 0);
    assert.equal(dialogs.size, 2);
    dialogs.request(request('BYE', 'one'), 0);
    dialogs.request(request('BYE', 'two', 'CALL-ID'), 0);
    assert.equal(dialogs.size, 0);
  });

  it('are told apart by tags in a line that goes on in the next one', () => {
    const { dialogs } = given();
    const lines = (from: string, cseq: string): string =>
      `\r\n${from}\r\nTo: <sip:b@c>;tag=two\r\nCall-ID: one\r\nCSeq: ${cseq}\r\n\r\n`;
    const folded = lines('From: <sip:a@b>\r\n ;tag=one', '1 INVITE');
    dialogs.response(Buffer.from(`SIP/2.0 200 OK${folded}`), 0);
    assert.equal(dialogs.size, 1);
    dialogs.request(Buffer.from(`BYE sip:b@c SIP/2.0${lines('From: <sip:a@b>', '2 BYE')}`), 0);
    assert.equal(dialogs.size, 1, 'another dialog of this call');
    const whole = lines('From: <sip:a@b>;tag=one', '2 BYE');
    dialogs.request(Buffer.from(`BYE sip:b@c SIP/2.0${whole}`), 0);
    assert.equal(dialogs.size, 0);
  });

  it('say nothing of messages that are broken', () => {
    const { dialogs } = given();
    for (const text of ['INVITE ', 'BYE x', 'SIP/2.0 200', 'SIP/2.0 200 OK\r\n\r\n', 'I', ''])
      for (const take of ['request', 'response'] as const) dialogs[take](Buffer.from(text), 0);
    assert.equal(dialogs.size, 0);
  });

  it('are forgotten when nobody told their end', () => {
    const { dialogs } = given();
    dialogs.request(request('INVITE', 'rings'), 0);
    dialogs.request(request('INVITE', 'talks'), 0);
    dialogs.response(response(200, 'talks'), 10);
    dialogs.sweep(dialogLimits.earlyMs - 1);
    assert.equal(dialogs.size, 2);
    dialogs.sweep(dialogLimits.earlyMs);
    assert.equal(dialogs.size, 1);
    dialogs.sweep(dialogLimits.confirmedMs + 9);
    assert.equal(dialogs.size, 1);
    dialogs.sweep(dialogLimits.confirmedMs + 10);
    assert.equal(dialogs.size, 0);
  });

  it('push the oldest out above the limit, and tell', () => {
    const { dialogs, forgotten } = given();
    for (let call = 0; call <= dialogLimits.callsMax; call++)
      dialogs.response(response(200, `call-${call}`), call);
    assert.equal(dialogs.size, dialogLimits.callsMax);
    assert.equal(forgotten(), 1);
    dialogs.request(request('BYE', 'call-0'), 0);
    assert.equal(dialogs.size, dialogLimits.callsMax);
    dialogs.request(request('BYE', 'call-1'), 0);
    assert.equal(dialogs.size, dialogLimits.callsMax - 1);
  });

  it('do not begin again with a 2xx that is repeated after their BYE', () => {
    const { dialogs } = given();
    dialogs.request(inDialog('INVITE sip:b@c SIP/2.0', '1 INVITE', 'a', ''), 0);
    const ok = inDialog('SIP/2.0 200 OK', '1 INVITE', 'a', 'b');
    dialogs.response(ok, 0);
    // The side that was called hangs up: From and To have changed places.
    dialogs.request(inDialog('BYE sip:a@c SIP/2.0', '1 BYE', 'b', 'a'), 1);
    dialogs.response(ok, 500);
    assert.equal(dialogs.size, 0);
    dialogs.sweep(transactionLimits.timeoutMs);
    dialogs.response(ok, transactionLimits.timeoutMs);
    assert.equal(dialogs.size, 0, 'the last repetition comes 64 times T1 after the first');
    dialogs.sweep(1 + transactionLimits.timeoutMs);
    dialogs.response(ok, 40_000);
    assert.equal(dialogs.size, 1, 'nothing is remembered for ever');
  });

  it('last until the last of the branches that were taken up has ended', () => {
    const { dialogs } = given();
    dialogs.request(inDialog('INVITE sip:b@c SIP/2.0', '1 INVITE', 'a', ''), 0);
    for (const tag of ['b1', 'b2', 'b1'])
      dialogs.response(inDialog('SIP/2.0 200 OK', '1 INVITE', 'a', tag), 0);
    dialogs.request(inDialog('BYE sip:b@c SIP/2.0', '2 BYE', 'a', 'b2'), 1);
    dialogs.request(inDialog('BYE sip:b@c SIP/2.0', '2 BYE', 'a', 'b2'), 1);
    assert.equal(dialogs.size, 1);
    dialogs.request(inDialog('BYE sip:a@c SIP/2.0', '9 BYE', 'b1', 'a'), 2);
    assert.equal(dialogs.size, 0);
  });

  it('are not all that keeps an instance busy, but pings do not', () => {
    const { dialogs } = given();
    for (const method of ['OPTIONS', 'MESSAGE', 'OPTIONS', 'NOTIFY', 'ACK', 'OPTION'])
      dialogs.request(request(method, 'one'), 0);
    assert.equal(dialogs.requests, 4);
    dialogs.response(response(200, 'one', 'OPTIONS'), 0);
    assert.equal(dialogs.requests, 4);
  });

  it('follow only so many branches', () => {
    const { dialogs } = given();
    for (let branch = 0; branch <= dialogLimits.forksMax; branch++)
      dialogs.response(inDialog('SIP/2.0 200 OK', '1 INVITE', 'a', `b${branch}`), 0);
    for (let branch = 1; branch <= dialogLimits.forksMax; branch++) {
      assert.equal(dialogs.size, 1);
      dialogs.request(inDialog('BYE sip:b@c SIP/2.0', '2 BYE', 'a', `b${branch}`), 1);
    }
    assert.equal(dialogs.size, 0, 'the first branch was forgotten');
  });

  it('remember only so many ends', () => {
    const { dialogs, forgotten } = given();
    for (let call = 0; call <= dialogLimits.endedMax; call++)
      dialogs.request(request('BYE', `call-${call}`), 0);
    dialogs.response(response(200, 'call-1'), 1);
    assert.equal(dialogs.size, 0);
    dialogs.response(response(200, 'call-0'), 1);
    assert.equal(dialogs.size, 1);
    assert.equal(forgotten(), 0);
  });

  it('take little memory, whatever stands in their messages', () => {
    const { dialogs } = given();
    const [calls, long] = [2_000, 'x'.repeat(10_000)];
    const before = heapUsed();
    for (let call = 0; call < calls; call++) {
      const padded = request('INVITE', `${call}@compact`, `Subject: ${long}\r\ni`);
      dialogs.request(padded, 0);
      dialogs.response(response(200, `${long}${call}`), 0);
      dialogs.request(request('BYE', `${long}-${call}`), 0);
    }
    const grownBytes = heapUsed() - before;
    assert.equal(dialogs.size, 2 * calls);
    assert.ok(grownBytes < calls * 3_000, `${grownBytes} bytes more`);
    for (let call = 0; call < calls; call++) dialogs.request(request('BYE', `${long}${call}`), 1);
    assert.equal(dialogs.size, calls, 'long names are told apart by their ends, too');
  });

  it('leave nothing behind when they have ended', () => {
    const { dialogs, forgotten } = given();
    let nowMs = 0;
    const talk = (calls: number): void => {
      for (let call = 0; call < calls; call++) {
        if (++nowMs % 10_000 === 0) dialogs.sweep(nowMs);
        dialogs.response(response(200, `call-${nowMs}`), nowMs);
        dialogs.request(request('BYE', `call-${nowMs}`), nowMs);
      }
    };
    // Above both limits once.
    for (let call = 0; call <= dialogLimits.callsMax; call++)
      dialogs.response(response(200, `old-${call}`), 0);
    for (let call = 0; call <= dialogLimits.callsMax; call++)
      dialogs.request(request('BYE', `old-${call}`), 0);
    talk(50_000);
    const before = heapUsed();
    talk(200_000);
    assert.equal(dialogs.size, 0);
    assert.equal(forgotten(), 1);
    const grownBytes = heapUsed() - before;
    assert.ok(grownBytes < 4_000_000, `${grownBytes} bytes more`);
  });
});
