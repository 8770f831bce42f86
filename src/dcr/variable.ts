import { suggest } from './suggest.ts';

export type Protocol = 'sip' | 'http';

/** Part of a URI that a variable may end in. */
export type UriPart = 'scheme' | 'user' | 'host' | 'port' | 'display-name';

/** Where a variable takes its text from. */
export type Source =
  | { readonly kind: 'request-uri' }
  | { readonly kind: 'method' }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'parameter'; readonly name: string }
  | { readonly kind: 'cookie'; readonly name: string }
  | { readonly kind: 'match' };

/** What is made of the text. */
export type Reading =
  | { readonly kind: 'text' }
  | { readonly kind: 'uri'; readonly part: UriPart | undefined }
  | { readonly kind: 'resolved'; readonly part: 'user' | 'host' | undefined }
  /** The expression of the enclosing `match`, run on the text. */
  | { readonly kind: 'match' }
  | { readonly kind: 'match-resolved-user' };

/** A variable of the rule language, understood. */
export interface Variable {
  /** As written. */
  readonly text: string;
  readonly source: Source;
  readonly reading: Reading;
}

export type ParsedVariable =
  | { readonly ok: true; readonly variable: Variable }
  | { readonly ok: false; readonly fault: string };

const plain: Reading = { kind: 'text' };
const resolvedReadings: readonly (readonly [string, Reading])[] = [
  ['uri.resolve', { kind: 'resolved', part: undefined }],
  ['uri.resolve.user', { kind: 'resolved', part: 'user' }],
  ['uri.resolve.host', { kind: 'resolved', part: 'host' }],
];
const httpReadings: ReadonlyMap<string, Reading> = new Map<string, Reading>([
  ['uri', { kind: 'uri', part: undefined }],
  ['uri.user', { kind: 'uri', part: 'user' }],
  ['uri.host', { kind: 'uri', part: 'host' }],
  ...resolvedReadings,
]);
const requestUriReadings: ReadonlyMap<string, Reading> = new Map<string, Reading>([
  ...httpReadings,
  ['uri.scheme', { kind: 'uri', part: 'scheme' }],
  ['uri.port', { kind: 'uri', part: 'port' }],
]);
const sipHeaderReadings: ReadonlyMap<string, Reading> = new Map<string, Reading>([
  ...requestUriReadings,
  ['uri.display-name', { kind: 'uri', part: 'display-name' }],
  ['match', { kind: 'match' }],
  ['match.resolve.user', { kind: 'match-resolved-user' }],
]);
const matchReadings: ReadonlyMap<string, Reading> = new Map<string, Reading>([
  ['', plain],
  ['resolve.user', { kind: 'match-resolved-user' }],
]);

const suffixWords: ReadonlySet<string> = new Set([
  'uri',
  'resolve',
  'match',
  'scheme',
  'user',
  'host',
  'port',
  'display-name',
]);

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads a variable: a first word says where the text comes from, known suffixes are taken from the
 * right, and what remains is the name, which may hold dots itself.
 */
export function parseVariable(text: string, protocol: Protocol): ParsedVariable {
  const dot = text.indexOf('.');
  const word = dot === -1 ? text : text.slice(0, dot);
  const rest = dot === -1 ? '' : text.slice(dot + 1);
  switch (word) {
    case 'match':
      return parseMatch(text, rest, protocol);
    case 'request':
      return parseRequest(text, rest, protocol);
    case 'parameter':
      return protocol === 'sip'
        ? parseNamed(text, 'parameter', rest, protocol)
        : parseHttpParameter(text, rest);
    case 'cookie':
      return parseNamed(text, 'cookie', rest, protocol);
    default:
      return unknown(text, protocol);
  }
}

function parseMatch(text: string, rest: string, protocol: Protocol): ParsedVariable {
  const reading = matchReadings.get(rest);
  if (reading === undefined || text.endsWith('.')) return unknown(text, protocol);
  return known(text, { kind: 'match' }, reading);
}

function parseRequest(text: string, rest: string, protocol: Protocol): ParsedVariable {
  if (rest === 'method' || rest === 'uri' || rest.startsWith('uri.')) {
    return protocol === 'http' ? onlySip(text) : parseRequestLine(text, rest);
  }
  const { name, chain } = splitSuffix(rest);
  if (!token.test(name) || holdsSuffixWord(name)) return unknown(text, protocol);
  const readings = protocol === 'sip' ? sipHeaderReadings : httpReadings;
  const reading = chain === '' ? plain : readings.get(chain);
  if (reading !== undefined) return known(text, { kind: 'header', name }, reading);
  return sipHeaderReadings.has(chain) ? onlySip(text) : unknown(text, protocol);
}

function parseRequestLine(text: string, rest: string): ParsedVariable {
  if (rest === 'method') return known(text, { kind: 'method' }, plain);
  if (rest === 'uri') return known(text, { kind: 'request-uri' }, plain);
  const reading = requestUriReadings.get(rest);
  if (reading === undefined) return unknown(text, 'sip');
  return known(text, { kind: 'request-uri' }, reading);
}

function parseHttpParameter(text: string, rest: string): ParsedVariable {
  const { name, chain } = splitSuffix(rest);
  if (chain === '') return parseNamed(text, 'parameter', rest, 'http');
  const reading = httpReadings.get(chain);
  if (reading !== undefined) return known(text, { kind: 'parameter', name }, reading);
  // A part word alone, as in `room.user`, is no suffix and so belongs to the name.
  if (/uri|resolve|match/.test(chain)) {
    return sipHeaderReadings.has(chain) ? onlySip(text) : unknown(text, 'http');
  }
  return parseNamed(text, 'parameter', rest, 'http');
}

function parseNamed(
  text: string,
  kind: 'parameter' | 'cookie',
  name: string,
  protocol: Protocol,
): ParsedVariable {
  if (name === '') return unknown(text, protocol);
  if (kind === 'parameter' && holdsSuffixWord(name)) return unknown(text, protocol);
  return known(text, { kind, name }, plain);
}

/** Takes suffix words from the right; at least one segment remains as the name. */
function splitSuffix(rest: string): { readonly name: string; readonly chain: string } {
  let end = rest.length;
  for (;;) {
    const dot = rest.lastIndexOf('.', end - 1);
    if (dot <= 0 || !suffixWords.has(rest.slice(dot + 1, end))) break;
    end = dot;
  }
  return { name: rest.slice(0, end), chain: rest.slice(end + 1) };
}

/** A name with a suffix inside is a mistyped suffix behind it rather than a name. */
function holdsSuffixWord(name: string): boolean {
  return /\.(?:uri|resolve)(?:\.|$)/.test(name);
}

function known(text: string, source: Source, reading: Reading): ParsedVariable {
  return { ok: true, variable: { text, source, reading } };
}

function onlySip(text: string): ParsedVariable {
  return { ok: false, fault: `variable "${text}" is known only in sip-rules` };
}

function unknown(text: string, protocol: Protocol): ParsedVariable {
  const near = withUri(text, protocol) ?? suggest(text, candidates(text, protocol));
  const kinds =
    protocol === 'sip'
      ? 'request.uri, request.method, request.HEADER, parameter.NAME, match'
      : 'request.HEADER, parameter.NAME, cookie.NAME, match';
  return {
    ok: false,
    fault: `unknown variable "${text}"; expected one of ${kinds}, with the suffixes of the manual${near}`,
  };
}

/** The most frequent slip is a part without `.uri` before it, as in `request.from.user`. */
function withUri(text: string, protocol: Protocol): string | undefined {
  const dot = text.indexOf('.');
  const { name, chain } = splitSuffix(text.slice(dot + 1));
  const readings = protocol === 'sip' ? sipHeaderReadings : httpReadings;
  const isSlip = text.startsWith('request.') && readings.has(`uri.${chain}`);
  return isSlip ? `; did you mean "request.${name}.uri.${chain}"?` : undefined;
}

/** What a mistyped variable may have meant: its name with every suffix that the protocol knows. */
function candidates(text: string, protocol: Protocol): readonly string[] {
  const found = ['match', 'match.resolve.user'];
  const [, name = 'To'] = text.split('.');
  const readings = protocol === 'sip' ? sipHeaderReadings : httpReadings;
  for (const chain of readings.keys()) {
    found.push(`request.${name}.${chain}`);
    if (protocol === 'http') found.push(`parameter.${name}.${chain}`);
  }
  found.push(`request.${name}`, `parameter.${name}`);
  if (protocol === 'http') found.push(`cookie.${name}`);
  else {
    found.push('request.method', 'request.uri');
    for (const chain of requestUriReadings.keys()) found.push(`request.${chain}`);
  }
  return found;
}
