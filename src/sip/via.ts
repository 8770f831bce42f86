import { decimal } from './decimal.ts';
import { isBlank } from './token.ts';
import { splitHostPort } from './uri.ts';

/** One Via value (RFC 3261 section 20.42). */
export interface Via {
  /** Range of this value in the message; a comma or the line's end follows. */
  readonly start: number;
  readonly end: number;
  /** Of the protocol: `2.0`, unless somebody speaks another one. */
  readonly version: string;
  /** Upper case, e.g. `UDP`. */
  readonly transport: string;
  /** `host` or `host:port` as written. */
  readonly sentBy: string;
  readonly host: string;
  /** Undefined: the transport's default port. */
  readonly port: number | undefined;
  readonly branch: string | undefined;
  /** Without brackets, which some write around IPv6 (RFC 5118 section 4.5). */
  readonly received: string | undefined;
  /** Undefined: absent; empty: present without value (RFC 3581). */
  readonly rport: string | undefined;
  /** End of the `rport` parameter's name when not even `=` follows it, else -1. */
  readonly rportNameEnd: number;
  /** All parameters after sent-by, as written, beginning with `;` or empty. */
  readonly parameters: string;
  /** Offset of `parameters` in the message. */
  readonly parametersStart: number;
}

const protocolPattern = /^SIP\s*\/\s*(\d+\.\d+)\s*\/\s*([\w.!%*+`'~-]+)\s+/i;

/**
 * Reads the Via value that begins at `start` of a message's head.
 *
 * @returns undefined when it is malformed
 */
export function readVia(head: string, start: number, lineEnd: number): Via | undefined {
  const end = endOfValue(head, start, lineEnd);
  const written = head.slice(start, end);
  // What stands in quotes is no parameter of ours to find.
  const value = written.includes('"') ? withoutQuoted(written) : written;
  const protocol = readProtocol(value);
  if (protocol === undefined) return undefined;
  const semicolon = value.indexOf(';', protocol.length);
  const sentBy = value.slice(protocol.length, semicolon < 0 ? undefined : semicolon).trim();
  const address = splitHostPort(sentBy);
  // Nothing can be sent to port 0.
  if (address === undefined || Number(address.port) === 0) return undefined;
  const visible = semicolon < 0 ? '' : value.slice(semicolon);
  const parametersStart = semicolon < 0 ? end : start + semicolon;
  const rport = viaParameter(visible, 'rport');
  return {
    start,
    end,
    version: protocol.version,
    transport: protocol.transport,
    sentBy,
    host: address.host,
    port: address.port === undefined ? undefined : decimal(address.port, 5),
    branch: viaParameter(visible, 'branch'),
    received: withoutBrackets(viaParameter(visible, 'received')),
    rport,
    rportNameEnd: rport === '' ? endOfBareRport(visible, parametersStart) : -1,
    parameters: value === written || semicolon < 0 ? visible : written.slice(semicolon),
    parametersStart,
  };
}

/**
 * Whether the top Via and, on the same line, the one behind it can be told apart for sure: no
 * parameter without name, no quote left open, nothing unreadable behind the comma.
 */
export function isUnambiguous(via: Via, head: string, lineEnd: number): boolean {
  if (hasEmptyParameter(via.parameters)) return false;
  if (via.end >= lineEnd) return true;
  let next = via.end + 1;
  while (next < lineEnd && isBlank(head.charCodeAt(next))) next++;
  return readVia(head, next, lineEnd) !== undefined;
}

/** Also where a quote is left open. */
function hasEmptyParameter(parameters: string): boolean {
  if (parameters === '') return false;
  const visible = parameters.includes('"') ? withoutQuoted(parameters) : parameters;
  if (visible.includes('"')) return true;
  for (let at = 0; at >= 0; at = visible.indexOf(';', at + 1)) {
    let start = at + 1;
    while (isBlank(visible.charCodeAt(start))) start++;
    if (start >= visible.length || visible[start] === ';') return true;
  }
  return false;
}

/** The parameters as written, split at each `;` outside of quotes; the first text is what stands before. */
export function parameterTexts(parameters: string): string[] {
  if (!parameters.includes('"')) return parameters.split(';');
  const visible = withoutQuoted(parameters);
  const texts: string[] = [];
  let start = 0;
  for (const text of visible.split(';')) {
    texts.push(parameters.slice(start, start + text.length));
    start += text.length + 1;
  }
  return texts;
}

/** The text, as long as before, with nothing in its quoted strings; one that is left open stays. */
function withoutQuoted(text: string): string {
  let result = '';
  let read = 0;
  for (let open = text.indexOf('"'); open >= 0; open = text.indexOf('"', read)) {
    let close = open + 1;
    while (close < text.length && text[close] !== '"') close += text[close] === '\\' ? 2 : 1;
    if (close >= text.length) break;
    result += text.slice(read, open) + '_'.repeat(close + 1 - open);
    read = close + 1;
  }
  return result + text.slice(read);
}

function withoutBrackets(address: string | undefined): string | undefined {
  return address?.startsWith('[') === true && address.endsWith(']')
    ? address.slice(1, -1)
    : address;
}

interface Protocol {
  readonly version: string;
  readonly transport: string;
  readonly length: number;
}

const udp: Protocol = { version: '2.0', transport: 'UDP', length: 12 };
const tcp: Protocol = { version: '2.0', transport: 'TCP', length: 12 };

function readProtocol(value: string): Protocol | undefined {
  if (value.startsWith('SIP/2.0/UDP ')) return udp;
  if (value.startsWith('SIP/2.0/TCP ')) return tcp;
  const match = protocolPattern.exec(value);
  if (match === null) return undefined;
  return { version: match[1]!, transport: match[2]!.toUpperCase(), length: match[0].length };
}

/** Value of a Via parameter; empty when it has none, undefined when absent. Names fold case. */
export function viaParameter(parameters: string, name: string): string | undefined {
  let at = 0;
  while (at >= 0 && at < parameters.length) {
    let start = at + 1;
    while (parameters.charCodeAt(start) <= 32) start++;
    const next = parameters.indexOf(';', start);
    if (isNamed(parameters, start, name)) {
      const value = valueAfter(
        parameters,
        start + name.length,
        next < 0 ? parameters.length : next,
      );
      if (value !== undefined) return value;
    }
    at = next;
  }
  return undefined;
}

function isNamed(text: string, start: number, name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    if ((text.charCodeAt(start + at) | 0x20) !== name.charCodeAt(at)) return false;
  }
  return true;
}

/** What stands after a name: `=value`, nothing, or, for a longer name, undefined. */
function valueAfter(text: string, after: number, end: number): string | undefined {
  if (after === end) return '';
  if (after > end) return undefined;
  if (text.charCodeAt(after) === 0x3d) return text.slice(after + 1, end).trim();
  const rest = text.slice(after, end).trim();
  if (rest === '') return '';
  return rest.startsWith('=') ? rest.slice(1).trim() : undefined;
}

/** Offset behind the name of an `rport` without value; -1: it has an `=`. */
function endOfBareRport(parameters: string, offset: number): number {
  const match = /;\s*rport(?=\s*(?:;|$))/i.exec(parameters);
  return match === null ? -1 : offset + match.index + match[0].length;
}

/** End of the first value of a Via line: a comma outside quotes, or the line's end. */
function endOfValue(head: string, start: number, lineEnd: number): number {
  const comma = head.indexOf(',', start);
  if (comma < 0 || comma >= lineEnd) return lineEnd;
  const quote = head.indexOf('"', start);
  if (quote < 0 || quote > comma) return comma;
  let quoted = false;
  for (let at = quote; at < lineEnd; at++) {
    const character = head[at];
    if (quoted && character === '\\') at++;
    else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) return at;
  }
  return lineEnd;
}
