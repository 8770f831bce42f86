import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

/** An answer as a client saw it. */
export interface Seen {
  readonly status: number;
  /** Reason phrase; HTTP/2 has none. */
  readonly reason?: string;
  /** Names and values in order, latin1. */
  readonly headers: readonly Field[];
  /** Interim answers (1xx) that came before. */
  readonly interim: readonly Pick<Seen, 'status' | 'headers'>[];
  readonly trailers: readonly Field[];
  readonly body: Buffer;
}

export type Field = readonly [name: string, value: string];

/**
 * What a peer may add to an answer, change or leave out. `Date` tells the time; `Connection` and
 * `Keep-Alive` are about one connection (RFC 9110 section 7.6.1); its own cookies are the stamps.
 */
const ofTheHop: ReadonlySet<string> = new Set(['date', 'connection', 'keep-alive', 'via']);
const stamps = /^(?:BEKEY|BEROUTE)=/;

/** Framing is written anew on every hop; where it stands among the fields says nothing. */
const framing: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

/** What must not differ between an answer that came straight and one that came through peers. */
export function comparable(seen: Seen): unknown {
  const { status, reason, headers, interim, trailers, body } = seen;
  return {
    status,
    reason,
    headers: endToEnd(headers),
    framing: lowerCased(headers.filter(([name]) => framing.has(name.toLowerCase()))),
    interim: interim.map((one) => ({ status: one.status, headers: endToEnd(one.headers) })),
    trailers,
    body: body.length > 1_000 ? digest(body) : body.toString('latin1'),
  };
}

/**
 * Asserts that what belongs to the hop is of its version: HTTP/2 has no reason phrase, no upper case and
 * no field of a connection (RFC 9113 sections 8.2 and 8.3.2).
 */
export function assertFields(seen: Seen, version: '1.1' | '2'): void {
  if (version === '1.1') return;
  const fields = [seen, ...seen.interim].flatMap(({ headers }) => headers);
  const foreign = /[A-Z]|^(?:connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/;
  assert.deepEqual(
    [...fields, ...seen.trailers].filter(([name]) => foreign.test(name)),
    [],
  );
  assert.equal(seen.reason ?? '', '');
}

/** The same without what HTTP/2 writes in another way: names in lower case, no reason, no chunks. */
export function comparableAcrossVersions(seen: Seen): unknown {
  const lower = (fields: readonly Field[]): Field[] =>
    lowerCased(fields.filter(([name]) => name.toLowerCase() !== 'transfer-encoding'));
  return comparable({
    ...seen,
    reason: '',
    headers: lower(seen.headers),
    interim: seen.interim
      // Of a body's size curl asks for it in HTTP/1.1 alone.
      .filter((one) => one.status !== 100)
      .map((one) => ({ ...one, headers: lower(one.headers) })),
    trailers: lower(seen.trailers),
  });
}

/** What a peer tells the application about where a request came from and whom it is for (docs/http.md). */
const toldByPeers =
  /^(?:via|forwarded|x-forwarded-(?:for|proto|host|port)|proxy-be(?:key|route)|traceparent)$/;

/** What peers told the application, in the order of names; of the trace identifiers only that they are there. */
export function toldIn(json: string): Field[] {
  const { rawHeaders } = JSON.parse(json) as { rawHeaders: string[] };
  return lowerCased(fieldsOf(rawHeaders))
    .filter(([name]) => toldByPeers.test(name))
    .map(([name, value]): Field => [name, value.replace(/-[0-9a-f]{32}-[0-9a-f]{16}-/, '-?-?-')])
    .sort(([one], [other]) => one.localeCompare(other));
}

/** What must not differ between a request that came straight to the application and one through peers. */
export function comparableView(json: string): object {
  const view = JSON.parse(json) as { rawHeaders: string[] };
  const headers = fieldsOf(view.rawHeaders).filter(
    ([name]) => !toldByPeers.test(name.toLowerCase()),
  );
  return {
    ...view,
    rawHeaders: endToEnd(headers),
    framing: lowerCased(headers.filter(([name]) => framing.has(name.toLowerCase()))),
  };
}

/** The same without what HTTP/2 writes in another way: names in lower case, first the host, last the cookies. */
export function comparableViewAcrossVersions(json: string): unknown {
  const view = JSON.parse(json) as { rawHeaders: string[]; rawTrailers: string[] };
  const fields = lowerCased(fieldsOf(view.rawHeaders));
  const place = ([name]: Field): number => (name === 'host' ? -1 : name === 'cookie' ? 1 : 0);
  const rawHeaders = fields.sort((one, other) => place(one) - place(other)).flat();
  const rawTrailers = lowerCased(fieldsOf(view.rawTrailers)).flat();
  return comparableView(JSON.stringify({ ...view, rawHeaders, rawTrailers }));
}

/** The same fields, those of one name as a list (RFC 9110 section 5.3): of HTTP/2 undici tells no more. */
export function joined(fields: readonly Field[]): Field[] {
  const lists = new Map<string, string[]>();
  const cookies: Field[] = [];
  for (const [name, value] of lowerCased(fields)) {
    if (name === 'set-cookie') cookies.push([name, value]);
    else lists.set(name, [...(lists.get(name) ?? []), value]);
  }
  return [...[...lists].map(([name, list]): Field => [name, list.join(', ')]), ...cookies];
}

/** Pairs of a flat list of names and values. */
export function fieldsOf(flat: readonly string[]): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) fields.push([flat[at]!, flat[at + 1]!]);
  return fields;
}

function endToEnd(fields: readonly Field[]): readonly Field[] {
  return fields.filter(([name, value]) => {
    const lower = name.toLowerCase();
    if (lower === 'set-cookie') return !stamps.test(value);
    return !ofTheHop.has(lower) && !framing.has(lower);
  });
}

function lowerCased(fields: readonly Field[]): Field[] {
  return fields.map(([name, value]) => [name.toLowerCase(), value]);
}

function digest(body: Buffer): string {
  return `${body.length} bytes, ${createHash('sha256').update(body).digest('hex')}`;
}
