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

/** The same without what HTTP/2 writes in another way: names in lower case, the host before all others. */
export function comparableViewAcrossVersions(json: string): unknown {
  const view = JSON.parse(json) as { rawHeaders: string[] };
  const fields = lowerCased(fieldsOf(view.rawHeaders));
  const isHost = ([name]: Field): boolean => name === 'host';
  const ordered = [...fields.filter(isHost), ...fields.filter((field) => !isHost(field))];
  return comparableView(JSON.stringify({ ...view, rawHeaders: ordered.flat() }));
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
