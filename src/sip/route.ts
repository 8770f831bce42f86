import { endOfListValue, type SipMessage } from './message.ts';
import type { HeaderId } from './header-names.ts';
import { endOfQuotes } from './tag.ts';

/** One value of a Route, Record-Route or Path field, with its place in the message. */
export interface RouteValue {
  /** As written, latin1, brackets included. */
  readonly text: string;
  /** Index of the header line that holds it. */
  readonly line: number;
  readonly start: number;
  readonly end: number;
  /** Whether other values stand on the same line after it, and where the next one begins. */
  readonly nextStart: number | undefined;
}

/** The URI inside a Route value, read just far enough for a proxy. */
export interface RouteUri {
  /** Without angle brackets. */
  readonly uri: string;
  /** `sip`, `sips` or whatever stands before the colon, lower case. */
  readonly scheme: string;
  /** As written; empty when there is none. */
  readonly user: string;
  /** `host` or `host:port`, as written, without user part. */
  readonly hostPort: string;
  readonly isLoose: boolean;
  /** Parameters after the host, as written, beginning with `;` or empty. */
  readonly parameters: string;
  readonly bekey: string | undefined;
  readonly beroute: string | undefined;
  readonly besig: string | undefined;
}

/** All values of the field in order. */
export function routeValues(message: SipMessage, id: HeaderId): RouteValue[] {
  const values: RouteValue[] = [];
  for (let line = message.line(id); line >= 0; line = message.line(id, line + 1)) {
    const text = message.latin1(line);
    const offset = message.valueStart(line);
    for (let from = 0; from < text.length;) {
      const end = endOfListValue(text, from);
      const nextStart = end < text.length ? offset + end + 1 : undefined;
      values.push({
        text: text.slice(from, end).trim(),
        line,
        start: offset + from,
        end: offset + end,
        nextStart,
      });
      from = end + 1;
    }
  }
  return values;
}

/** Reads a Route value; undefined when it holds no URI. */
export function readRouteUri(value: string): RouteUri | undefined {
  const name = value.startsWith('"') ? endOfQuotes(value, 0) : 0;
  if (name < 0) return undefined;
  const open = value.indexOf('<', name);
  const close = value.indexOf('>', open);
  if (open >= 0 && close < 0) return undefined;
  return readUri(open < 0 ? value : value.slice(open + 1, close));
}

/** Reads a URI that may be one of ours, e.g. the Request-URI a strict router made of it. */
export function readUri(uri: string): RouteUri | undefined {
  const colon = uri.indexOf(':');
  if (colon <= 0) return undefined;
  const at = uri.lastIndexOf('@');
  const hostStart = at < 0 ? colon + 1 : at + 1;
  const question = uri.indexOf('?', hostStart);
  const end = question < 0 ? uri.length : question;
  const semicolon = uri.indexOf(';', hostStart);
  const hostEnd = semicolon < 0 || semicolon > end ? end : semicolon;
  const parameters = uri.slice(hostEnd, end);
  const { isLoose, bekey, beroute, besig } = readParameters(parameters);
  return {
    uri,
    scheme: uri.slice(0, colon).toLowerCase(),
    user: at < 0 ? '' : uri.slice(colon + 1, at),
    hostPort: uri.slice(hostStart, hostEnd),
    isLoose,
    parameters,
    bekey,
    beroute,
    besig,
  };
}

const letterB = 0x62;
const letterL = 0x6c;

/** Reads what a proxy looks for in one go; the first of two equal names counts. */
function readParameters(
  parameters: string,
): Pick<RouteUri, 'isLoose' | 'bekey' | 'beroute' | 'besig'> {
  let isLoose = false;
  let bekey: string | undefined;
  let beroute: string | undefined;
  let besig: string | undefined;
  for (let at = 0; at >= 0 && at < parameters.length;) {
    const next = parameters.indexOf(';', at + 1);
    const end = next < 0 ? parameters.length : next;
    const letter = parameters.charCodeAt(at + 1) | 0x20;
    if (letter === letterB) {
      bekey ??= valueOf(parameters, at + 1, end, 'bekey');
      beroute ??= valueOf(parameters, at + 1, end, 'beroute');
      besig ??= valueOf(parameters, at + 1, end, 'besig');
    } else if (letter === letterL) {
      isLoose ||= valueOf(parameters, at + 1, end, 'lr') !== undefined;
    }
    at = next;
  }
  return { isLoose, bekey, beroute, besig };
}

/** Value of a URI parameter; empty when it has none, undefined when absent. Names fold case. */
export function uriParameter(parameters: string, name: string): string | undefined {
  for (let at = 0; at >= 0 && at < parameters.length;) {
    const next = parameters.indexOf(';', at + 1);
    const value = valueOf(parameters, at + 1, next < 0 ? parameters.length : next, name);
    if (value !== undefined) return value;
    at = next;
  }
  return undefined;
}

/** Value of the parameter at `start`..`end`; undefined when it has another name. */
function valueOf(parameters: string, start: number, end: number, name: string): string | undefined {
  const nameEnd = start + name.length;
  if (nameEnd > end) return undefined;
  for (let at = 0; at < name.length; at++) {
    if ((parameters.charCodeAt(start + at) | 0x20) !== name.charCodeAt(at)) return undefined;
  }
  if (nameEnd === end) return '';
  return parameters[nameEnd] === '=' ? parameters.slice(nameEnd + 1, end) : undefined;
}
