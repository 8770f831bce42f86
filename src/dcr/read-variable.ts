import type { Pattern } from './pattern.ts';
import type { Resolution, ResolvedPart } from './resolution.ts';
import { splitList } from './resolution.ts';
import type { NameAddr } from './subject.ts';
import { valueOf } from './value.ts';
import type { Read, Value } from './value.ts';
import type { Reading, UriPart, Variable } from './variable.ts';

/** What a variable reads beside the subject: the `match` that it stands in. */
export interface MatchScope {
  readonly pattern: Pattern;
  /** Value of the match in the evaluation that runs. */
  value: string | null;
}

/** How a protocol answers for the sources of variables. */
export interface Sources<Subject> {
  readonly hasCookies: boolean;
  readonly requestUri: Read<Subject>;
  readonly method: Read<Subject>;
  header(name: string): (subject: Subject) => string | undefined;
  parameter(name: string): (subject: Subject) => string | undefined;
  cookie(name: string): (subject: Subject) => string | undefined;
}

/** Compiles a variable to a closure over one protocol's subject. */
export function compileVariable<Subject>(
  variable: Variable,
  sources: Sources<Subject>,
  resolution: Resolution,
  scope: MatchScope | undefined,
): Read<Subject> {
  const { source, reading } = variable;
  switch (source.kind) {
    case 'method':
      return sources.method;
    case 'request-uri':
      return readRequestUri(sources.requestUri, reading, resolution);
    case 'cookie':
      return readText(sources.cookie(source.name));
    case 'match':
      return readMatch(reading, resolution, scope);
    case 'header':
      return readItem(sources.header(source.name), reading, resolution, scope);
    case 'parameter':
      return readList(sources.parameter(source.name), reading, resolution, scope);
  }
}

function readText<Subject>(item: (subject: Subject) => string | undefined): Read<Subject> {
  return (subject) => valueOf(item(subject));
}

function readRequestUri<Subject>(
  requestUri: Read<Subject>,
  reading: Reading,
  resolution: Resolution,
): Read<Subject> {
  if (reading.kind === 'resolved') {
    const { part } = reading;
    return (subject) => resolution.uri(requestUri(subject) ?? '', part);
  }
  if (reading.kind !== 'uri' || reading.part === undefined) return requestUri;
  const { part } = reading;
  return (subject) => uriPart(requestUri(subject) ?? '', part, resolution);
}

function readMatch<Subject>(
  reading: Reading,
  resolution: Resolution,
  scope: MatchScope | undefined,
): Read<Subject> {
  if (scope === undefined) return () => null;
  if (reading.kind === 'text') return () => scope.value;
  return () => (scope.value === null ? null : resolution.userOf(scope.value));
}

/** A text as a whole, as a name-addr, or through the expression of the enclosing match. */
function readItem<Subject>(
  item: (subject: Subject) => string | undefined,
  reading: Reading,
  resolution: Resolution,
  scope: MatchScope | undefined,
): Read<Subject> {
  if (reading.kind === 'text') return readText(item);
  return (subject) => {
    const text = item(subject);
    return text === undefined ? null : readAs(text, reading, resolution, scope);
  };
}

/** As {@link readItem}, but of a comma list the first element that gives a value. */
function readList<Subject>(
  item: (subject: Subject) => string | undefined,
  reading: Reading,
  resolution: Resolution,
  scope: MatchScope | undefined,
): Read<Subject> {
  if (reading.kind === 'text') return readText(item);
  return (subject) => {
    const text = item(subject);
    if (text === undefined) return null;
    if (!text.includes(',')) return readAs(text, reading, resolution, scope);
    for (const element of splitList(text)) {
      const value = readAs(element, reading, resolution, scope);
      if (value !== null) return value;
    }
    return null;
  };
}

function readAs(
  text: string,
  reading: Reading,
  resolution: Resolution,
  scope: MatchScope | undefined,
): Value {
  switch (reading.kind) {
    case 'text':
      return valueOf(text);
    case 'uri':
      return readUri(text, reading.part, resolution);
    case 'resolved':
      return readResolved(text, reading.part, resolution);
    case 'match':
    case 'match-resolved-user': {
      const found = scope?.pattern.value(text) ?? null;
      return found === null || reading.kind === 'match' ? found : resolution.userOf(found);
    }
  }
}

function readUri(text: string, part: UriPart | undefined, resolution: Resolution): string | null {
  const address = nameAddrOf(text, resolution);
  if (address === undefined) return null;
  if (part === 'display-name') return valueOf(address.displayName);
  return part === undefined ? valueOf(address.uri) : uriPart(address.uri, part, resolution);
}

function readResolved(text: string, part: ResolvedPart, resolution: Resolution): Value {
  const address = nameAddrOf(text, resolution);
  return address === undefined ? null : resolution.uri(address.uri, part, address.parameters);
}

/**
 * The name-addr in a text. Some HTTP headers put a whole URI in quotes (3GPP TS 24.109); the quotes
 * are dropped.
 */
function nameAddrOf(text: string, resolution: Resolution): NameAddr | undefined {
  const isQuoted =
    text.length > 2 && text.startsWith('"') && text.indexOf('"', 1) === text.length - 1;
  return resolution.tools.uris.nameAddr(isQuoted ? text.slice(1, -1) : text);
}

function uriPart(text: string, part: UriPart, resolution: Resolution): string | null {
  if (part === 'display-name') return null;
  return valueOf(resolution.tools.uris.uri(text)?.[part]);
}
