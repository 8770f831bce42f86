import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import {
  HeaderId,
  isAnswerable,
  isBadResponse,
  parseSipMessage,
  StreamFramer,
  validateRequest,
  type SipMessage,
} from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  parsed,
  pipelineOptions,
  RecordedPorts,
} from '../support/pipeline-parts.ts';
import { request } from '../support/sip-text.ts';
import { tortureBytes, tortureCases, type StreamVerdict } from './torture-messages.ts';

const view = clusterView('a', { a: 'ready' });

/** One peer that serves everything itself. */
function alone() {
  const ports = new RecordedPorts();
  const options = pipelineOptions('a', ports, () => view);
  return { ports, counters: options.counters, pipeline: new Pipeline(options) };
}

/** The message as it would come back to us: our Via in place of the first, or on top. */
function withOurVia(bytes: Buffer, replacesFirst: boolean): { bytes: Buffer; rest: Buffer } {
  const text = bytes.toString('latin1');
  const { callId } = parsed(bytes);
  const peer = alone();
  peer.pipeline.receive(request({ callId }), arrivalOf());
  const { message } = peer.ports.last;
  const line = message.line(HeaderId.via);
  const ours = message.text.slice(message.lineStart(line), message.lineEnd(line));
  const withoutFirst = replacesFirst ? text.replace(/Via: [^\r]*\r\n/, '') : text;
  const rest = Buffer.from(withoutFirst, 'latin1');
  return { bytes: Buffer.from(withoutFirst.replace('\r\n', `\r\n${ours}`), 'latin1'), rest };
}

/** What the sip room says of one datagram. */
function roomVerdict(bytes: Buffer): string {
  const result = parseSipMessage(bytes);
  if (!result.ok) return `drop ${result.fault}`;
  const { message } = result;
  if (!message.isRequest) return isBadResponse(message) ? 'response discarded' : 'response passes';
  if (!isAnswerable(message)) return 'drop unanswerable';
  const refusal = validateRequest(message);
  return refusal === undefined ? 'passes' : `${refusal.status} ${refusal.cause}`;
}

/** What a whole peer does with it. */
function peerVerdict(bytes: Buffer): string {
  const { ports, counters, pipeline } = alone();
  const result = parseSipMessage(bytes);
  if (result.ok && !result.message.isRequest) pipeline.receiveResponse(bytes);
  else pipeline.receive(bytes, arrivalOf());
  assert.deepEqual(ports.defects, []);
  if (ports.delivered.length > 0) return 'passes';
  const [answer] = ports.answered;
  const reasons = [...(counters.entries().get('sip_refusals') ?? [])].map(([cause]) => cause);
  if (answer?.message.status !== undefined && reasons.length > 0) {
    return `${answer.message.status} ${reasons.join()}`;
  }
  if (answer !== undefined) return 'response passes';
  const [drop] = counters.entries().get('sip_drops')?.keys() ?? [];
  return drop === 'bad-response' ? 'response discarded' : `drop ${drop}`;
}

function streamVerdict(bytes: Buffer): StreamVerdict {
  const framer = new StreamFramer();
  const frames = framer.push(bytes).filter(({ kind }) => kind !== 'ping');
  const fault = frames.find((frame) => frame.kind === 'fault');
  if (fault !== undefined) {
    const whole = frames.length > 1 ? (`${frames.length - 1}, ` as const) : '';
    return `${whole}fault ${fault.cause}`;
  }
  return frames.length === 0 ? 'waits' : (String(frames.length) as StreamVerdict);
}

/** Raw header lines, folds included. */
function lines(message: SipMessage): string[] {
  return Array.from({ length: message.lineCount }, (_, line) =>
    message.text.slice(message.lineStart(line), message.lineEnd(line)),
  );
}

/** Lines that a proxy has to change: the top Via, Max-Forwards, Routes it uses up. */
function isOurs(message: SipMessage, line: number, changesRoute: boolean): boolean {
  const id = message.idOfLine(line);
  if (id === HeaderId.via) return line === message.line(HeaderId.via);
  return id === HeaderId.maxForwards || (id === HeaderId.route && changesRoute);
}

describe('RFC 4475', () => {
  it('has 49 messages', () => {
    assert.equal(new Set(tortureCases.map(({ file }) => file)).size, 49);
  });

  for (const { file, section, datagram, stream, why } of tortureCases) {
    it(`${section} ${file}: ${datagram}; stream ${stream}: ${why}`, () => {
      const bytes = tortureBytes(file);
      const isResponse = datagram.startsWith('response');
      const received = isResponse ? withOurVia(bytes, file === 'bcast').bytes : bytes;
      assert.equal(roomVerdict(received), datagram);
      assert.equal(peerVerdict(received), datagram);
      assert.equal(streamVerdict(bytes), stream);
    });
  }

  for (const { file, section } of tortureCases.filter(({ datagram }) => datagram === 'passes')) {
    it(`${section} ${file} keeps every byte that is not ours`, () => {
      const { ports, pipeline } = alone();
      pipeline.receive(tortureBytes(file), arrivalOf());
      const before = parsed(tortureBytes(file));
      const after = ports.last.message;
      const isStrict = file === 'mpart01';
      const kept = lines(before).filter((_, line) => !isOurs(before, line, isStrict));
      const added = lines(after);
      for (const line of kept) {
        const at = added.indexOf(line);
        assert.ok(at >= 0, `lost: ${line}`);
        added.splice(at, 1);
      }
      const names = added.map((line) => /^[^\s:]+/.exec(line)![0].toLowerCase());
      const allowed = ['via', 'record-route', 'v', 'max-forwards', ...(isStrict ? ['route'] : [])];
      assert.deepEqual(
        names.filter((name) => !allowed.includes(name)),
        [],
      );
      assert.equal(names.filter((name) => name === 'via' || name === 'v').length, 2);
      assert.deepEqual(after.body, before.body);
      assert.equal(after.requestUri, isStrict ? 'sip:127.0.0.1:5080' : before.requestUri);
    });
  }

  for (const file of ['unreason', 'noreason']) {
    it(`${file} reaches the client as it was but for our Via`, () => {
      const { ports, pipeline } = alone();
      const { bytes, rest } = withOurVia(tortureBytes(file), false);
      pipeline.receiveResponse(bytes);
      assert.deepEqual(ports.answered[0]?.target.message, rest);
    });
  }
});

describe('Messages beside those of RFC 4475', () => {
  it('refuses a CSeq without number', () => {
    assert.equal(peerVerdict(tortureBytes('badcseq')), '400 cseq');
  });

  it('drops a start line without version', () => {
    assert.equal(peerVerdict(tortureBytes('test')), 'drop not-sip');
  });

  it('drops a header that does not end', () => {
    assert.equal(peerVerdict(tortureBytes('baddn').subarray(0, -2)), 'drop header-not-ended');
  });
});
