import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { sipLimits } from '../../src/config/defaults.ts';
import { StreamFramer, type StreamFrame } from '../../src/sip/index.ts';
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
