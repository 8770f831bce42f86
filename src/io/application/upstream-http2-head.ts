import {
  announcedFraming,
  type BodyFraming,
  chunkedBody,
  endToEndResponseHeaders,
  endToEndTrailers,
  HeaderBlock,
  type HeaderList,
  type HttpFault,
  type HttpFaultCode,
  isFault,
  isToken,
  mayHaveBody,
  noBody,
  type RequestHead,
  type ResponseHead,
} from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import { marksOf } from './upstream-http-marks.ts';

/**
 * The fields of a request, names and values in turn (RFC 9113 section 8.3.1). There are no upgrades in
 * HTTP/2: a request for one goes without its Upgrade, and the server answers as if it knew none.
 *
 * Throws a TypeError when method or target cannot be written without changing the message: those from
 * the wire always can.
 *
 * @param authority of the server, for a request that names no host
 */
export function requestFields(
  request: RequestHead,
  envelope: Envelope,
  authority: string,
): readonly string[] {
  const { method, target, headers, framing } = request;
  if (!isToken(method) || !/^[!-~]+$/.test(target)) {
    throw new TypeError('Request cannot be written');
  }
  const host = headers.get('host');
  const named = host === undefined || host === '' ? authority : host;
  const fields = [':method', method, ':scheme', 'http', ':authority', named, ':path', target];
  for (const [name, value] of headers.followedBy(marksOf(envelope)).list()) {
    const lower = name.toLowerCase();
    if (lower !== 'host' && lower !== 'upgrade') fields.push(lower, value);
  }
  if (framing.kind === 'length') fields.push('content-length', String(framing.bytes));
  return fields;
}

/** What ends a request, as `node:http2` takes it. */
export function trailerFields(trailers: HeaderList): Record<string, string | string[]> {
  // Without a prototype: `__proto__` is a name as any other.
  const fields = Object.create(null) as Record<string, string | string[]>;
  // Checks them as well.
  for (const [name, value] of HeaderBlock.of(trailers).list()) {
    const lower = name.toLowerCase();
    const others = fields[lower];
    fields[lower] = others === undefined ? value : [others, value].flat();
  }
  return fields;
}

/**
 * Reads a response's head, 1xx included.
 *
 * @param fields names and values in turn, as they came
 * @param method of the request
 * @param isWhole nothing follows, no body and no trailers
 * @returns what is wrong with it, where something is
 */
export function responseHead(
  fields: readonly string[],
  method: string,
  isWhole: boolean,
): ResponseHead | HttpFaultCode {
  const lengths: string[] = [];
  const list: [string, string][] = [];
  let status = 0;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!;
    const value = fields[at + 1]!;
    if (name === ':status') status = Number(value);
    else if (name === 'content-length') lengths.push(value);
    else list.push([name, value]);
  }
  const received = checked(list);
  if (received === undefined) return 'HTTP_HEADER_INVALID';
  const framing = status < 200 ? noBody : framingOf(lengths, mayHaveBody(status, method), isWhole);
  if (isFault(framing)) return framing.code;
  return { status, reason: '', headers: endToEndResponseHeaders(received, []), framing };
}

/** The end of a response; undefined where it cannot be passed on. */
export function responseTrailers(fields: readonly string[]): HeaderList | undefined {
  const list: [string, string][] = [];
  for (let at = 0; at < fields.length; at += 2) list.push([fields[at]!, fields[at + 1]!]);
  const received = checked(list);
  return received && endToEndTrailers(received.list());
}

function checked(list: HeaderList): HeaderBlock | undefined {
  try {
    return HeaderBlock.of(list);
  } catch {
    return undefined;
  }
}

function framingOf(
  lengths: readonly string[],
  hasBody: boolean,
  isWhole: boolean,
): BodyFraming | HttpFault {
  const announced = announcedFraming({ minorVersion: 1, lengths, codings: [] });
  // Without a length the stream says where the body ends.
  if (announced.kind === 'close') return isWhole || !hasBody ? noBody : chunkedBody;
  // A head that is its trailers as well stays alone, as gRPC has it, only if nobody waits for more.
  const isEmpty = announced.kind === 'length' && announced.bytes === 0;
  return isEmpty && isWhole && hasBody ? noBody : announced;
}
