import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { sipLimits } from '../../src/config/defaults.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import {
  buildResponse,
  Edits,
  HeaderId,
  isBadResponse,
  parseSipMessage,
  readRouteUri,
  routeValues,
  StreamFramer,
  validateRequest,
  type SipMessage,
  type StreamFrame,
} from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  parsed,
  pipelineOptions,
  RecordedPorts,
} from '../support/pipeline-parts.ts';
import { request } from '../support/sip-text.ts';
import { requests } from './corpus.ts';
import { mutated } from './mutation.ts';

const corpus = Object.values(requests);
const view = clusterView('a', { a: 'ready', b: 'ready' });
const run = { seed: 4475, numRuns: 4_000 };

function peer() {
  const ports = new RecordedPorts();
  const options = pipelineOptions('a', ports, () => view);
  return { ports, counters: options.counters, pipeline: new Pipeline(options) };
}

/** In-dialog requests with the Routes that a client makes of what we recorded. */
function stamped(): Buffer[] {
  const { ports, pipeline } = peer();
  pipeline.receive(request({ callId: 'mine' }), arrivalOf());
  const recorded = ports.last.message.headers('record-route');
  const route = `Route: ${recorded.join(', ')}, <sip:next.example.net;lr>`;
  const [own = ''] = recorded;
  return [
    request({ method: 'BYE', callId: 'mine', cseq: 2, toTag: 't', extra: [route] }),
    request({ method: 'INFO', callId: 'mine', cseq: 3, toTag: 't', uri: own.slice(1, -1) }),
  ];
}

const messages = [...corpus, ...stamped()];

describe('Real messages', () => {
  for (const [method, bytes] of Object.entries(requests)) {
    it(`${method} is valid and travels on`, () => {
      const message = parsed(bytes);
      assert.equal(message.method, method);
      assert.equal(validateRequest(message), undefined);
      assert.deepEqual(new Edits(message).toBuffer(), bytes);
      const { ports, pipeline } = peer();
      pipeline.receive(bytes, arrivalOf());
      // An ACK, BYE or CANCEL without stamp or memory asks the directory first.
      ports.letAnswersArrive();
      assert.equal(ports.last.message.method, method);
    });
  }
});

describe('Mutated messages', () => {
  it('are read without a throw, within their bytes, and written back as they were', () => {
    fc.assert(
      fc.property(mutated(messages, 6), (bytes) => {
        const result = parseSipMessage(bytes);
        if (!result.ok) return;
        const { message } = result;
        validateRequest(message);
        isBadResponse(message);
        readEverything(message);
        const start = bytes.indexOf(message.bytes);
        assert.ok(start >= 0 && start + message.bytes.length <= bytes.length);
        assert.deepEqual(new Edits(message).toBuffer(), message.bytes);
      }),
      run,
    );
  });

  it('are cut from a stream alike however it is split', () => {
    const split = fc.array(fc.nat(0xffff), { maxLength: 10 });
    fc.assert(
      fc.property(fc.array(mutated(messages, 2), { maxLength: 4 }), split, (sent, cuts) => {
        const stream = Buffer.concat(sent);
        const whole = described(new StreamFramer().push(stream));
        const places = cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b);
        const framer = new StreamFramer();
        const frames = [...places, stream.length].flatMap((end, index) =>
          framer.push(stream.subarray(places[index - 1] ?? 0, end)),
        );
        assert.deepEqual(described(frames), whole);
        assert.ok(framer.pendingBytes <= sipLimits.headerBytesMax + sipLimits.bodyBytesMax);
      }),
      { ...run, numRuns: 1_500 },
    );
  });

  it('end on a stream where the parser says they end', () => {
    fc.assert(
      fc.property(mutated(messages, 4), (bytes) => {
        for (const frame of new StreamFramer().push(bytes)) {
          if (frame.kind !== 'message') continue;
          const result = parseSipMessage(frame.bytes);
          if (!result.ok || result.message.flaw !== undefined) continue;
          const { message } = result;
          assert.equal(message.bytes.length, frame.bytes.length);
          const line = message.line(HeaderId.contentLength);
          const stated = line < 0 ? 0 : Number(message.latin1(line));
          assert.equal(message.body.length, stated);
        }
      }),
      run,
    );
  });
});

describe('Mutated messages through a whole peer', () => {
  it('never make it fail, and what it delivers says the same of the dialog', () => {
    fc.assert(
      fc.property(mutated(messages, 4), (bytes) => {
        const { ports, counters, pipeline } = peer();
        pipeline.receive(bytes, arrivalOf());
        ports.letAnswersArrive();
        assert.deepEqual(ports.defects, []);
        assert.equal(counters.get('sip_drops', 'defect'), 0);
        for (const { message } of ports.delivered) sameDialog(message, parsed(bytes));
        for (const { message } of ports.answered) {
          if (!message.isRequest) isOurAnswer(message, parsed(bytes));
        }
      }),
      run,
    );
  });

  it('gain the headers that we add, each one line, and no others', () => {
    let delivered = 0;
    fc.assert(
      fc.property(mutated(messages, 3), (bytes) => {
        const { ports, pipeline } = peer();
        pipeline.receive(bytes, arrivalOf());
        ports.letAnswersArrive();
        for (const { message } of ports.delivered) {
          delivered++;
          const before = parsed(bytes);
          const added =
            1 +
            Number(before.line(HeaderId.maxForwards) < 0) +
            countOf(message, HeaderId.recordRoute) -
            countOf(before, HeaderId.recordRoute) +
            countOf(message, HeaderId.path) -
            countOf(before, HeaderId.path) +
            countOf(message, HeaderId.route) -
            countOf(before, HeaderId.route);
          assert.equal(message.lineCount, before.lineCount + added);
          assert.equal(countOf(message, HeaderId.via), countOf(before, HeaderId.via) + 1);
          assert.ok(
            countOf(message, HeaderId.recordRoute) <= countOf(before, HeaderId.recordRoute) + 2,
          );
        }
      }),
      run,
    );
    assert.ok(delivered > run.numRuns / 4, `${delivered} delivered`);
  });

  it('as responses never make it fail, nor reach anybody without our Via', () => {
    const { ports, pipeline } = peer();
    for (const bytes of messages) pipeline.receive(bytes, arrivalOf());
    ports.letAnswersArrive();
    const responses = ports.delivered
      .filter(({ message }) => message.method !== 'ACK')
      .map(({ message }) => buildResponse(message, { status: 200, toTag: 'app' }));
    fc.assert(
      fc.property(mutated(responses, 3), (bytes) => {
        const fresh = peer();
        fresh.pipeline.receiveResponse(bytes);
        assert.deepEqual(fresh.ports.defects, []);
        for (const { message } of fresh.ports.answered) {
          const before = parsed(bytes);
          assert.equal(message.status, before.status);
          assert.equal(message.callId, before.callId);
          assert.ok(before.first(HeaderId.via).includes(';besig='));
          if (before.line(HeaderId.contentLength) >= 0) lostOneThing(message, before);
        }
      }),
      { ...run, numRuns: 2_000 },
    );
  });
});

/** Every reader of the room; none may throw. */
function readEverything(message: SipMessage): void {
  const { fromTag, toTag, callId, cseqNumber, cseqMethod, topVia, requestUri } = message;
  assert.ok(typeof [fromTag, toTag, callId, cseqMethod, requestUri].join() === 'string');
  assert.ok(cseqNumber >= -1 && cseqNumber < 2 ** 31);
  assert.ok(topVia === undefined || topVia.end <= message.bodyStart);
  for (const id of [HeaderId.route, HeaderId.recordRoute, HeaderId.path]) {
    for (const value of routeValues(message, id)) {
      assert.ok(value.start <= value.end && value.end <= message.bodyStart);
      readRouteUri(value.text);
    }
  }
  for (const name of ['via', 'contact', 'supported', 'x', 'P-Asserted-Identity']) {
    assert.ok(message.headers(name).every((value) => !/\r\n[^ \t]/.test(value)));
  }
}

function described(frames: readonly StreamFrame[]): string[] {
  return frames.map((frame) => {
    if (frame.kind === 'message') return frame.bytes.toString('latin1');
    return frame.kind === 'fault' ? frame.cause : frame.kind;
  });
}

function sameDialog(after: SipMessage, before: SipMessage): void {
  assert.equal(after.flaw, undefined);
  assert.equal(after.method, before.method);
  assert.equal(after.callId, before.callId);
  assert.equal(after.fromTag, before.fromTag);
  assert.equal(after.toTag, before.toTag);
  assert.equal(after.cseqNumber, before.cseqNumber);
  assert.equal(after.cseqMethod, before.method);
  assert.deepEqual(after.body, before.body);
}

/** An answer copies what identifies the request, says nothing else of the client's, and is whole. */
function isOurAnswer(answer: SipMessage, before: SipMessage): void {
  const copied = [HeaderId.via, HeaderId.from, HeaderId.to, HeaderId.callId, HeaderId.cseq];
  const lines = copied.reduce((sum, id) => sum + countOf(before, id), 0);
  const own = ['unsupported', 'retry-after', 'allow', 'accept', 'supported', 'server'];
  const ownLines = own.filter((name) => answer.header(name) !== undefined).length;
  assert.equal(answer.lineCount, lines + ownLines + 1);
  assert.equal(answer.callId, before.callId);
  assert.equal(answer.header('content-length'), String(answer.body.length));
}

/** Our Via, in one piece, is all that a response loses on its way. */
function lostOneThing({ bytes: after }: SipMessage, { bytes: before }: SipMessage): void {
  const lost = before.length - after.length;
  let same = 0;
  while (same < after.length && after[same] === before[same]) same++;
  assert.ok(lost > 0);
  assert.deepEqual(
    Buffer.concat([before.subarray(0, same), before.subarray(same + lost)]),
    Buffer.from(after),
  );
}

function countOf(message: SipMessage, id: HeaderId): number {
  let count = 0;
  for (let line = 0; line < message.lineCount; line++) {
    if (message.idOfLine(line) === id) count++;
  }
  return count;
}
