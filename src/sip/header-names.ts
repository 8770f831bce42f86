/** Header fields that a proxy itself reads or writes, as small integers. */
export const HeaderId = {
  other: 0,
  via: 1,
  from: 2,
  to: 3,
  callId: 4,
  cseq: 5,
  maxForwards: 6,
  route: 7,
  recordRoute: 8,
  contact: 9,
  contentLength: 10,
  proxyRequire: 11,
  path: 12,
  contentType: 13,
  supported: 14,
  require: 15,
  userAgent: 16,
  event: 17,
  subject: 18,
} as const;

export type HeaderId = (typeof HeaderId)[keyof typeof HeaderId];

const known: readonly (readonly [name: string, id: HeaderId])[] = [
  ['via', HeaderId.via],
  ['from', HeaderId.from],
  ['to', HeaderId.to],
  ['call-id', HeaderId.callId],
  ['cseq', HeaderId.cseq],
  ['max-forwards', HeaderId.maxForwards],
  ['route', HeaderId.route],
  ['record-route', HeaderId.recordRoute],
  ['contact', HeaderId.contact],
  ['content-length', HeaderId.contentLength],
  ['proxy-require', HeaderId.proxyRequire],
  ['path', HeaderId.path],
  ['content-type', HeaderId.contentType],
  ['supported', HeaderId.supported],
  ['require', HeaderId.require],
  ['user-agent', HeaderId.userAgent],
  ['event', HeaderId.event],
  ['subject', HeaderId.subject],
];

/** Compact forms of RFC 3261 section 7.3.3 and of the extensions that registered one. */
export const compactForms: ReadonlyMap<string, string> = new Map([
  ['a', 'accept-contact'],
  ['b', 'referred-by'],
  ['c', 'content-type'],
  ['d', 'request-disposition'],
  ['e', 'content-encoding'],
  ['f', 'from'],
  ['i', 'call-id'],
  ['j', 'reject-contact'],
  ['k', 'supported'],
  ['l', 'content-length'],
  ['m', 'contact'],
  ['n', 'identity-info'],
  ['o', 'event'],
  ['r', 'refer-to'],
  ['s', 'subject'],
  ['t', 'to'],
  ['u', 'allow-events'],
  ['v', 'via'],
  ['x', 'session-expires'],
  ['y', 'identity'],
]);

/** Fields whose grammar is a comma list (RFC 3261 section 7.3.1, RFC 3325, 3327, 3608, 7044). */
const lists: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'alert-info',
  'allow',
  'allow-events',
  'call-info',
  'contact',
  'content-encoding',
  'content-language',
  'error-info',
  'history-info',
  'in-reply-to',
  'p-asserted-identity',
  'p-preferred-identity',
  'path',
  'proxy-require',
  'record-route',
  'require',
  'route',
  'service-route',
  'supported',
  'unsupported',
  'via',
  'warning',
]);

interface Candidate {
  readonly text: string;
  /** As most programs write it. */
  readonly usual: string;
  readonly id: HeaderId;
}

const byLength: Candidate[][] = [];
const compactIds = new Uint8Array(128);
const ids = new Map<string, HeaderId>();
for (const [name, id] of known) {
  ids.set(name, id);
  (byLength[name.length] ??= []).push({ text: name, usual: usualCase(name), id });
}
for (const [letter, name] of compactForms) {
  compactIds[letter.charCodeAt(0)] = ids.get(name) ?? HeaderId.other;
}

/** The full lower-case name for any spelling: `F` and `FROM` give `from`. */
export function canonicalName(name: string): string {
  const lower = name.toLowerCase();
  return compactForms.get(lower) ?? lower;
}

/** A field's name made ready for being looked for. */
export interface FieldName {
  readonly canonical: string;
  readonly id: HeaderId;
  readonly isList: boolean;
}

/** Names come from rules and code, so they are few; the bound is for programs that make them up. */
const fieldNamesMax = 1_024;
const fieldNames = new Map<string, FieldName>();

/** Any spelling of a field's name, remembered. */
export function fieldName(name: string): FieldName {
  const known = fieldNames.get(name);
  if (known !== undefined) return known;
  const canonical = canonicalName(name);
  const made = {
    canonical,
    id: ids.get(canonical) ?? HeaderId.other,
    isList: lists.has(canonical),
  };
  if (fieldNames.size < fieldNamesMax) fieldNames.set(name, made);
  return made;
}

function usualCase(name: string): string {
  if (name === 'call-id') return 'Call-ID';
  if (name === 'cseq') return 'CSeq';
  return name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}

/** Id of the field whose name stands at `start`..`end` of a header's text. */
export function idAt(header: string, start: number, end: number): HeaderId {
  const length = end - start;
  if (length === 1) return compactId(header.charCodeAt(start));
  const candidates = byLength[length];
  if (candidates === undefined) return HeaderId.other;
  for (const candidate of candidates) {
    if (header.startsWith(candidate.usual, start)) return candidate.id;
  }
  for (const candidate of candidates) {
    if (equalsIgnoringCase(header, start, candidate.text)) return candidate.id;
  }
  return HeaderId.other;
}

function compactId(code: number): HeaderId {
  return code < 0x80 ? (compactIds[code | 0x20] as HeaderId) : HeaderId.other;
}

/** Compares ASCII text at `start` with lower-case `wanted`; only letters fold. */
export function equalsIgnoringCase(text: string, start: number, wanted: string): boolean {
  for (let at = 0; at < wanted.length; at++) {
    const code = wanted.charCodeAt(at);
    const found = text.charCodeAt(start + at);
    if (found !== code && !(code >= 0x61 && code <= 0x7a && (found | 0x20) === code)) return false;
  }
  return true;
}
