import {
  endToEndRequestHeaders,
  forwardedLines,
  type HeaderBlock,
  type ReceivedRequest,
  type RequestHead,
  teLine,
} from '../http/index.ts';
import { tracedHeaders, type TraceIdSource } from './http-traceparent.ts';

/** The client's end of a connection, as its ingress peer sees it. */
export interface HttpRemote {
  readonly address: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Listed as a proxy whose forwarding headers are believed. */
  readonly isTrusted: boolean;
  /** Where it came in, every request is sent to HTTPS at this port. */
  readonly redirectToHttpsPort?: number;
}

/**
 * Makes the head that the application gets.
 *
 * @param viaName empty: no Via is written
 * @param newTraceIds undefined: `traceparent` is left as it is
 */
export function forwardHead(
  request: ReceivedRequest,
  remote: HttpRemote,
  viaName: string,
  newTraceIds?: TraceIdSource,
): RequestHead {
  const { method, target, framing, connectionOptions } = request;
  const isTunnel = framing.kind === 'tunnel';
  const kept = endToEndRequestHeaders(request.headers, connectionOptions, isTunnel);
  const hop = {
    remoteAddress: remote.address,
    isTls: remote.isTls,
    host: request.host,
    isTrusted: remote.isTrusted,
  };
  const own =
    forwardedLines(request.headers, hop) +
    (viaName === '' ? '' : `Via: ${request.version} ${viaName}\r\n`) +
    (request.acceptsTrailers ? teLine : '');
  const passed = adjusted(kept, request);
  const traced = newTraceIds === undefined ? passed : tracedHeaders(passed, newTraceIds);
  return { method, target, headers: traced.followedBy(own), framing };
}

/** Whether a peer of this pseudonym is among those that a request has passed (RFC 9110 section 7.6.3). */
export function hasPassed(headers: HeaderBlock, viaName: string): boolean {
  if (viaName === '') return false;
  return headers
    .all('via')
    .some((value) =>
      value.split(',').some((element) => element.trim().split(/[ \t]+/)[1] === viaName),
    );
}

/** Headers that mean something to this hop. */
function adjusted(headers: HeaderBlock, request: ReceivedRequest): HeaderBlock {
  let result = headers;
  // HTTP/1.0 clients do not know 100; without a body there is nothing to wait for.
  if (!request.expectsContinue && headers.get('expect') !== undefined) {
    result = result.filtered((lower) => lower !== 'expect');
  }
  return request.method === 'OPTIONS' ? withOneHopLess(result) : result;
}

/** Whether the sender of OPTIONS wants an answer of this hop (RFC 9110 section 7.6.2). */
export function endsHere(request: ReceivedRequest): boolean {
  if (request.method !== 'OPTIONS') return false;
  const hops = request.headers.get('max-forwards');
  return hops !== undefined && /^0+$/.test(hops);
}

function withOneHopLess(headers: HeaderBlock): HeaderBlock {
  const hops = headers.get('max-forwards');
  if (hops === undefined || !/^[0-9]{1,9}$/.test(hops)) return headers;
  const others = headers.filtered((lower) => lower !== 'max-forwards');
  return others.followedBy(`Max-Forwards: ${Number(hops) - 1}\r\n`);
}
