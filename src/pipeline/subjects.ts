import type { HttpSubject, SipSubject, UriReader } from '../dcr/index.ts';
import type { HeaderBlock } from '../http/index.ts';
import { parseNameAddress, parseUri, type SipMessage } from '../sip/index.ts';
import { queryReader } from './query.ts';

/** The SIP room's URI parser, as the rules use it for both protocols. */
export const uriReader: UriReader = { uri: parseUri, nameAddr: parseNameAddress };

/** Shows a SIP request to the rules. */
export function sipSubject(message: SipMessage): SipSubject {
  return message;
}

/** Shows an HTTP request to the rules. */
export function httpSubject(head: {
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderBlock;
}): HttpSubject {
  return {
    method: head.method,
    target: head.target,
    header: (name) => headerOf(head.headers, name),
    parameter: (name) => queryParameter(head.target, name),
    cookie: (name) => cookieIn(head.headers, name),
  };
}

function headerOf(headers: HeaderBlock, name: string): string | undefined {
  const value = headers.get(name.toLowerCase());
  // Rules compare with SIP, whose text is UTF-8; the wire's bytes come here one to one as characters.
  return value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8');
}

/** First query parameter of that name; undefined when absent. */
function queryParameter(target: string, name: string): string | undefined {
  return queryReader(target)?.(name);
}

/** Value of a cookie as it stands, quotes removed; foreign and malformed pairs are passed over. */
function cookieIn(headers: HeaderBlock, name: string): string | undefined {
  for (const line of headers.all('cookie')) {
    for (const pair of line.split(';')) {
      const equals = pair.indexOf('=');
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      return /^".*"$/.test(value) ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}
