import type { HttpSubject, SipSubject } from '../dcr/index.ts';
import { parseRequestHead } from '../http/index.ts';
import { httpSubject, sipSubject } from '../pipeline/subjects.ts';
import { parseSipMessage, tagOf } from '../sip/index.ts';

/** A request read from a file, ready for the rules. */
export type ExplainedRequest =
  | {
      readonly kind: 'sip';
      readonly subject: SipSubject;
      readonly fromTag: string;
      readonly callId: string;
      /** A To tag: peers route it by its stamp and ask the rules only when that is gone. */
      readonly isInDialog: boolean;
    }
  | { readonly kind: 'http'; readonly subject: HttpSubject };

export type ReadRequest =
  | { readonly ok: true; readonly request: ExplainedRequest }
  | { readonly ok: false; readonly fault: string };

/**
 * Reads a SIP or HTTP request as people keep them in files: lines of the head may end in LF alone,
 * and the empty line behind it may be missing. SIP is told by `SIP/2.0` in the first line.
 */
export function readRequest(bytes: Buffer): ReadRequest {
  const message = repairHead(bytes);
  const [firstLine = ''] = message.toString('latin1').split('\r\n', 1);
  return firstLine.includes('SIP/2.0') ? readSip(message) : readHttp(message);
}

function readSip(bytes: Buffer): ReadRequest {
  const parsed = parseSipMessage(bytes);
  if (!parsed.ok) return { ok: false, fault: `the SIP message is not understood: ${parsed.fault}` };
  const { message } = parsed;
  if (!message.isRequest) return { ok: false, fault: 'a response has no key; expected a request' };
  return {
    ok: true,
    request: {
      kind: 'sip',
      subject: sipSubject(message),
      fromTag: tagOf(message.header('From') ?? '') ?? '',
      callId: message.header('Call-ID') ?? '',
      isInDialog: tagOf(message.header('To') ?? '') !== undefined,
    },
  };
}

function readHttp(bytes: Buffer): ReadRequest {
  const parsed = parseRequestHead(bytes);
  switch (parsed.kind) {
    case 'head':
      return { ok: true, request: { kind: 'http', subject: httpSubject(parsed.head) } };
    case 'more':
      return { ok: false, fault: 'the HTTP head has no end' };
    default:
      return { ok: false, fault: `the HTTP head is not understood: ${parsed.code}` };
  }
}

function repairHead(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replace(/^(?:\r?\n)+/, '');
  const end = /\r?\n\r?\n/.exec(text);
  const head = end === null ? text.replace(/(?:\r?\n)+$/, '') : text.slice(0, end.index);
  const body = end === null ? '' : text.slice(end.index + end[0].length);
  return Buffer.from(`${head.replace(/\r?\n/g, '\r\n')}\r\n\r\n${body}`, 'latin1');
}
