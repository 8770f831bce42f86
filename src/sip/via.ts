import { splitHostPort } from './uri.ts';

/** One Via value (RFC 3261 section 20.42). */
export interface Via {
  /** Range of this value in the message; a comma or the line's end follows. */
  readonly start: number;
  readonly end: number;
  /** Upper case, e.g. `UDP`. */
  readonly transport: string;
  /** `host` or `host:port` as written. */
  readonly sentBy: string;
  readonly host: string;
  /** Undefined: the transport's default port. */
  readonly port: number | undefined;
  readonly branch: string | undefined;
  readonly received: string | undefined;
  /** Undefined: absent; empty: present without value (RFC 3581). */
  readonly rport: string | undefined;
  /** End of the `rport` parameter's name when it has no value, else -1. */
  readonly rportNameEnd: number;
  /** All parameters after sent-by, as written, beginning with `;` or empty. */
  readonly parameters: string;
  /** Offset of `parameters` in the message. */
  readonly parametersStart: number;
}

const protocolPattern = /^SIP\s*\/\s*2\.0\s*\/\s*([A-Za-z0-9-]+)\s+/i;

/** Reads the Via value that begins at `start`; undefined when it is malformed. */
export function readVia(bytes: Buffer, start: number, lineEnd: number): Via | undefined {
  const text = bytes.toString('latin1', start, lineEnd);
  const length = endOfValue(text);
  const value = length === text.length ? text : text.slice(0, length);
  const protocol = protocolPattern.exec(value);
  if (protocol === null) return undefined;
  const semicolon = value.indexOf(';', protocol[0].length);
  const sentBy = value.slice(protocol[0].length, semicolon < 0 ? undefined : semicolon).trim();
  const address = splitHostPort(sentBy);
  if (address === undefined) return undefined;
  const parameters = semicolon < 0 ? '' : value.slice(semicolon);
  const rport = viaParameter(parameters, 'rport');
  return {
    start,
    end: start + length,
    transport: protocol[1]!.toUpperCase(),
    sentBy,
    host: address.host,
    port: address.port === undefined ? undefined : Number(address.port),
    branch: viaParameter(parameters, 'branch'),
    received: viaParameter(parameters, 'received'),
    rport,
    rportNameEnd: rport === '' ? start + semicolon + bareRport(parameters) : -1,
    parameters,
    parametersStart: semicolon < 0 ? start + length : start + semicolon,
  };
}

/** Value of a Via parameter; empty when it has none, undefined when absent. Names fold case. */
export function viaParameter(parameters: string, name: string): string | undefined {
  let at = 0;
  while (at >= 0 && at < parameters.length) {
    let start = at + 1;
    while (parameters.charCodeAt(start) === 32) start++;
    const next = parameters.indexOf(';', start);
    const end = next < 0 ? parameters.length : next;
    const value = valueIfNamed(parameters, start, end, name);
    if (value !== undefined) return value;
    at = next;
  }
  return undefined;
}

function valueIfNamed(text: string, start: number, end: number, name: string): string | undefined {
  const after = start + name.length;
  if (after > end) return undefined;
  for (let at = 0; at < name.length; at++) {
    if ((text.charCodeAt(start + at) | 0x20) !== name.charCodeAt(at)) return undefined;
  }
  const rest = text.slice(after, end).trim();
  if (rest === '') return '';
  return rest.startsWith('=') ? rest.slice(1).trim() : undefined;
}

function bareRport(parameters: string): number {
  return (
    parameters.toLowerCase().search(/;\s*rport\s*(;|$)/) + /;\s*rport/i.exec(parameters)![0].length
  );
}

/** Length of the first value of a Via line: up to a comma outside quotes. */
function endOfValue(text: string): number {
  let comma = text.indexOf(',');
  if (comma < 0) return text.length;
  const quote = text.indexOf('"');
  if (quote >= 0 && quote < comma) {
    const close = text.indexOf('"', quote + 1);
    comma = close < 0 ? -1 : text.indexOf(',', close);
    if (comma < 0) return text.length;
  }
  return comma;
}
