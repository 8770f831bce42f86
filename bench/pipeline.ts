/**
 * Measures the journey of a SIP message without sockets: whole dialogs through one pipeline whose
 * ports only keep the last message. Usage: node bench/pipeline.ts [DIALOGS]
 */
import { Pipeline } from '../src/pipeline/pipeline.ts';
import type { ResponseTarget } from '../src/pipeline/return-response.ts';
import {
  arrivalOf,
  clusterView,
  pipelineOptions,
  RecordedPorts,
} from '../test/support/pipeline-parts.ts';

const dialogs = Number(process.argv[2] ?? 100_000);
const view = clusterView('a', { a: 'ready' });

let delivered: Buffer = Buffer.alloc(0);
let answered: Buffer = Buffer.alloc(0);

/** Keeps the last message alone, as it is. */
class LastMessage extends RecordedPorts {
  override deliver(message: Buffer): boolean {
    delivered = message;
    return true;
  }

  override answer(_flow: string, target: ResponseTarget): void {
    answered = target.message;
  }

  override note(): void {
    // What a note costs its sender is the call.
  }

  override defect(error: unknown): void {
    throw error;
  }
}

const pipeline = new Pipeline(
  pipelineOptions('a', new LastMessage(), () => view, { now: () => performance.now() }),
);
const arrival = arrivalOf({ address: '127.0.0.1', port: 6060 });
const sdp =
  'v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n';

function request(method: string, dialog: number, cseq: number, route: string, body = ''): Buffer {
  const toTag = route === '' ? '' : ';tag=callee';
  return Buffer.from(
    `${method} sip:service@sip.example.net:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:6060;branch=z9hG4bK-${dialog}-${cseq}-${method}\r\n${route}` +
      `From: sipp <sip:sipp@127.0.0.1:6060>;tag=${dialog}SIPpTag001\r\nTo: service <sip:service@127.0.0.1:5060>${toTag}\r\n` +
      `Call-ID: ${dialog}-9731@127.0.0.1\r\nCSeq: ${cseq} ${method}\r\nContact: sip:sipp@127.0.0.1:6060\r\nMax-Forwards: 70\r\n` +
      `Subject: Performance Test\r\n${body === '' ? '' : 'Content-Type: application/sdp\r\n'}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function response(from: Buffer): Buffer {
  const text = from.toString('latin1');
  const kept = text
    .slice(0, text.indexOf('\r\n\r\n'))
    .split('\r\n')
    .filter((line) => /^(Via|From|To|Call-ID|CSeq|Record-Route):/.test(line));
  return Buffer.from(`SIP/2.0 200 OK\r\n${kept.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`);
}

interface Dialog {
  readonly messages: readonly (readonly [kind: 'request' | 'response', bytes: Buffer])[];
}

/** Learns from one run through what the application and the caller would send. */
function prepare(dialog: number): Dialog {
  const invite = request('INVITE', dialog, 1, '', sdp);
  pipeline.receive(invite, arrival);
  const inviteOk = response(delivered);
  const recorded = [...delivered.toString('latin1').matchAll(/^Record-Route: (.*?)\r$/gm)];
  const route = recorded
    .map(([, value]) => `Route: ${value}\r\n`)
    .toReversed()
    .join('');
  const ack = request('ACK', dialog, 1, route);
  const bye = request('BYE', dialog, 2, route);
  pipeline.receive(bye, arrival);
  return {
    messages: [
      ['request', invite],
      ['response', inviteOk],
      ['request', ack],
      ['request', bye],
      ['response', response(delivered)],
    ],
  };
}

const prepared = Array.from({ length: 3_000 }, (_, index) => prepare(index));
for (let round = 0; round < 3; round++) {
  const start = process.cpuUsage();
  let messages = 0;
  for (let index = 0; index < dialogs; index++) {
    for (const [kind, bytes] of prepared[index % prepared.length]!.messages) {
      if (kind === 'request') pipeline.receive(bytes, arrival);
      else pipeline.receiveResponse(bytes);
      messages++;
    }
  }
  const used = process.cpuUsage(start);
  const us = (used.user + used.system) / messages;
  console.log(
    `${us.toFixed(2)} µs a message (${messages} messages, last ${answered.length} bytes)`,
  );
}
