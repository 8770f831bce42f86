import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import fc from 'fast-check';
import { sipLimits } from '../../src/config/defaults.ts';
import { parseSipMessage, StreamFramer, type StreamFrame } from '../../src/sip/index.ts';
import { request } from '../support/sip-text.ts';

function described(frames: readonly StreamFrame[]): string[] {
  return frames.map((frame) =>
    frame.kind === 'message' ? frame.bytes.toString('latin1') : frame.kind,
  );
}

const messages = [
  request({ body: 'first body' }),
  request({ method: 'BYE' }),
  Buffer.from(
    request({ body: 'héé\r\n\r\nx' }).toString('latin1').replace('Content-Length', 'l  '),
    'latin1',
  ),
];

describe('StreamFramer', () => {
  it('gives the same frames for any split of the stream', () => {
    const stream = Buffer.concat([
      messages[0]!,
      Buffer.from('\r\n\r\n'),
      messages[1]!,
      Buffer.from('\r\n'),
      messages[2]!,
      Buffer.from('\r\n\r\n\r\n\r\n'),
    ]);
    const whole = described(new StreamFramer().push(stream));
    assert.deepEqual(whole, [
      messages[0]!.toString('latin1'),
      'ping',
      messages[1]!.toString('latin1'),
      messages[2]!.toString('latin1'),
      'ping',
      'ping',
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 12 }), (cuts) => {
        const framer = new StreamFramer();
        const frames: StreamFrame[] = [];
        let from = 0;
        for (const cut of [...cuts, stream.length].toSorted((a, b) => a - b)) {
          frames.push(...framer.push(stream.subarray(from, cut)));
          from = cut;
        }
        assert.deepEqual(described(frames), whole);
        assert.equal(framer.pendingBytes, 0);
      }),
      { numRuns: 500 },
    );
  });

  it('holds what is not complete', () => {
    const framer = new StreamFramer();
    assert.deepEqual(framer.push(messages[0]!.subarray(0, -1)), []);
    assert.equal(framer.pendingBytes, messages[0]!.length - 1);
    assert.equal(framer.push(messages[0]!.subarray(-1)).length, 1);
  });

  it('ends the stream at what it cannot cut', () => {
    const head = 'OPTIONS sip:a@b SIP/2.0\r\n';
    const cases: readonly [string, string][] = [
      ['content-length', `${head}Content-Length: x\r\n\r\n`],
      ['content-length', `${head}Content-Length: 1\r\nl: 2\r\n\r\n`],
      ['content-length', `${head}Content-Length: -1\r\n\r\n`],
      ['body-too-large', `${head}Content-Length: ${sipLimits.bodyBytesMax + 1}\r\n\r\n`],
      [
        'header-too-large',
        `${head}X: ${'y'.repeat(sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax)}`,
      ],
    ];
    for (const [cause, text] of cases) {
      const framer = new StreamFramer();
      const [fault] = framer.push(Buffer.from(text));
      assert.ok(fault?.kind === 'fault' && fault.cause === cause, cause);
      assert.deepEqual(framer.push(messages[0]!), []);
    }
  });

  it('agrees with the parser on a folded length', () => {
    const text = request({ body: 'abcd' }).toString();
    const folded = Buffer.from(text.replace('Content-Length: 4', 'Content-Length:\r\n\t4\r\n '));
    const frames = new StreamFramer().push(Buffer.concat([folded, messages[1]!]));
    assert.deepEqual(described(frames), [
      folded.toString('latin1'),
      messages[1]!.toString('latin1'),
    ]);
    const [split] = new StreamFramer().push(
      Buffer.from(text.replace('Content-Length: 4', 'Content-Length: 1\r\n 4')),
    );
    assert.ok(split?.kind === 'fault' && split.cause === 'content-length');
  });

  it('reads no length out of the continuation of another field', () => {
    const text = request({ body: 'abcd' }).toString();
    const bytes = Buffer.from(text.replace('CSeq', 'Subject: x\r\n Content-Length: 9\r\nCSeq'));
    assert.equal(described(new StreamFramer().push(bytes))[0], bytes.toString('latin1'));
  });
});

/** All bytes that are copied while `run` goes on. */
function bytesCopied(run: () => void): number {
  const copy = mock.method(Buffer.prototype as Buffer, 'copy');
  const concat = mock.method(Buffer, 'concat');
  try {
    run();
    const copied = copy.mock.calls.reduce((sum, call) => sum + (call.result ?? 0), 0);
    return concat.mock.calls.reduce((sum, call) => sum + (call.result?.length ?? 0), copied);
  } finally {
    copy.mock.restore();
    concat.mock.restore();
  }
}

describe('StreamFramer, fed byte by byte', () => {
  const long = request({
    extra: [`X-Long: ${'y'.repeat(20_000)}`],
    body: 'z'.repeat(sipLimits.bodyBytesMax),
  });

  it('copies a bounded multiple of what it gets', () => {
    const framer = new StreamFramer();
    const frames: StreamFrame[] = [];
    const stream = Buffer.concat([long, messages[1]!]);
    const copied = bytesCopied(() => {
      for (let at = 0; at < stream.length; at++) {
        frames.push(...framer.push(stream.subarray(at, at + 1)));
      }
    });
    assert.deepEqual(
      frames.map((frame) => frame.kind === 'message' && frame.bytes.length),
      [long.length, messages[1]!.length],
    );
    assert.ok(copied <= 4 * stream.length, `${copied} of ${stream.length}`);
  });

  it('copies nothing of messages that come whole', () => {
    const framer = new StreamFramer();
    const whole = Buffer.concat([messages[0]!, messages[1]!]);
    const copied = bytesCopied(() => {
      assert.equal(framer.push(whole).length, 2);
    });
    assert.equal(copied, 0);
  });

  it('looks for the end of a head only in what is new', () => {
    const framer = new StreamFramer();
    const indexOf = mock.method(Buffer.prototype as Buffer, 'indexOf');
    for (let at = 0; at < 20_000; at++) framer.push(long.subarray(at, at + 1));
    indexOf.mock.restore();
    const looked = indexOf.mock.calls.reduce(
      (sum, call) => sum + (call.this as Buffer).length - Number(call.arguments[1]),
      0,
    );
    assert.ok(looked > 0 && looked <= 4 * 20_000, String(looked));
  });

  it('leaves a message that it gave out as it is', () => {
    const framer = new StreamFramer();
    framer.push(messages[0]!.subarray(0, 10));
    const [first] = framer.push(
      Buffer.concat([messages[0]!.subarray(10), messages[1]!.subarray(0, 5)]),
    );
    framer.push(messages[1]!.subarray(5));
    assert.ok(first?.kind === 'message');
    assert.deepEqual(first.bytes, messages[0]);
  });

  it('holds no more than its limits before it ends the stream', () => {
    const framer = new StreamFramer();
    const line = Buffer.from(`X: ${'y'.repeat(997)}\r\n`);
    let held = 0;
    framer.push(Buffer.from('OPTIONS sip:a@b SIP/2.0\r\n'));
    for (let count = 0; count < 200; count++) {
      if (framer.push(line).length > 0) break;
      held = Math.max(held, framer.pendingBytes);
    }
    assert.ok(held <= sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax);
    assert.equal(framer.pendingBytes, 0);
  });
});

describe('StreamFramer, where a guess would be dangerous', () => {
  function faultOf(text: string): string {
    const [frame] = new StreamFramer().push(Buffer.from(text, 'latin1'));
    return frame?.kind === 'fault' ? `${frame.cause} ${frame.bytes.length > 0}` : 'none';
  }

  it('ends the stream at a line break without CRLF in the header', () => {
    const text = request().toString();
    assert.equal(faultOf(text.replace('Max', 'X: y\nMax')), 'bare-line-break true');
    assert.equal(faultOf(text.replace('Max', 'X: y\rMax')), 'bare-line-break true');
  });

  it('takes no head for a message whose body has no length', () => {
    const text = request({ extra: ['c: application/sdp'], body: 'v=0' }).toString();
    assert.equal(faultOf(text.replace(/Content-Length: 3\r\n/, '')), 'length-missing false');
    const bodiless = request()
      .toString()
      .replace(/Content-Length: 0\r\n/, '');
    assert.equal(described(new StreamFramer().push(Buffer.from(bodiless)))[0], bodiless);
  });

  it('does not take for a length what the parser does not', () => {
    const text = request({ body: 'abcd' }).toString();
    const folded = text.replace('Content-Length: 4', 'Content-Length\r\n : 4');
    assert.equal(faultOf(folded), 'content-length true');
    const parsed = parseSipMessage(Buffer.from(folded));
    assert.ok(parsed.ok && parsed.message.flaw === 'header-line');
  });
});
