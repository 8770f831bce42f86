import { HeaderId } from './header-names.ts';
import type { SipMessage } from './message.ts';
import { reasonPhrase } from './reason-phrases.ts';
import { tagOf } from './tag.ts';

export interface ResponseParts {
  readonly status: number;
  readonly reason?: string;
  /** Added to To where the request has no tag; required above 100 (RFC 3261 section 8.2.6.2). */
  readonly toTag?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array;
}

/**
 * Builds a response to a request (RFC 3261 section 8.2.6): Via, From, To, Call-ID and CSeq keep
 * every byte of the request; Record-Route is copied where a dialog may be made.
 *
 * @throws TypeError when a header or the reason holds a line break
 */
export function buildResponse(request: SipMessage, parts: ResponseParts): Buffer {
  const reason = parts.reason ?? reasonPhrase(parts.status);
  const body = parts.body ?? Buffer.alloc(0);
  let head = `SIP/2.0 ${parts.status} ${checked(reason)}\r\n`;
  for (let line = 0; line < request.lineCount; line++) head += copied(request, line, parts);
  for (const [name, value] of parts.headers ?? []) {
    head += `${latin1OfUtf8(checked(name))}: ${latin1OfUtf8(checked(value))}\r\n`;
  }
  head += `Content-Length: ${body.length}\r\n\r\n`;
  const result = Buffer.allocUnsafe(head.length + body.length);
  result.write(head, 0, 'latin1');
  result.set(body, head.length);
  return result;
}

function copied(request: SipMessage, line: number, parts: ResponseParts): string {
  const { text } = request;
  switch (request.idOfLine(line)) {
    case HeaderId.via:
    case HeaderId.from:
    case HeaderId.callId:
    case HeaderId.cseq:
      return text.slice(request.lineStart(line), request.lineEnd(line));
    case HeaderId.to:
      return toLine(request, line, parts);
    case HeaderId.recordRoute:
      return makesDialog(request, parts.status)
        ? text.slice(request.lineStart(line), request.lineEnd(line))
        : '';
    default:
      return '';
  }
}

function toLine(request: SipMessage, line: number, parts: ResponseParts): string {
  const text = request.text.slice(request.lineStart(line), request.valueEnd(line));
  const hasTag = tagOf(request.latin1(line)) !== undefined;
  const tag = hasTag || parts.toTag === undefined ? '' : `;tag=${checked(parts.toTag)}`;
  return `${text}${tag}\r\n`;
}

/** RFC 3261 section 12.1.1, RFC 6665: 101..299 to the methods that make dialogs. */
function makesDialog(request: SipMessage, status: number): boolean {
  if (status <= 100 || status >= 300) return false;
  return (
    request.method === 'INVITE' || request.method === 'SUBSCRIBE' || request.method === 'REFER'
  );
}

function checked(text: string): string {
  if (/[\r\n\0]/.test(text)) throw new TypeError('A SIP header must not hold a line break');
  return text;
}

/** The UTF-8 bytes of a text, one to one as characters, as the head is written. */
function latin1OfUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
