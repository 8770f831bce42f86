import {
  endToEndRequestHeaders,
  type Field,
  forwardedHeaders,
  headerValue,
  isNamed,
  type ReceivedRequest,
  type RequestHead,
} from '../http/index.ts';

/** The client's end of a connection, as its ingress peer sees it. */
export interface HttpRemote {
  readonly address: string;
  readonly port: number;
  readonly isTls: boolean;
  /** Listed as a proxy whose forwarding headers are believed. */
  readonly isTrusted: boolean;
}

/** Makes the head that the application gets. @param viaName empty: no Via is written */
export function forwardHead(
  request: ReceivedRequest,
  remote: HttpRemote,
  viaName: string,
): RequestHead {
  let headers = endToEndRequestHeaders(request.headers, request.connectionOptions);
  // HTTP/1.0 clients do not know 100; without a body there is nothing to wait for.
  if (!request.expectsContinue) headers = headers.filter((field) => !isNamed(field, 'expect'));
  if (request.method === 'OPTIONS') headers = headers.map(withOneHopLess);
  const hop = {
    remoteAddress: remote.address,
    isTls: remote.isTls,
    host: request.host,
    isTrusted: remote.isTrusted,
  };
  for (const field of forwardedHeaders(request.headers, hop)) headers.push(field);
  if (viaName !== '') headers.push(['Via', `1.${request.minorVersion} ${viaName}`]);
  return { method: request.method, target: request.target, headers, framing: request.framing };
}

/** Whether the sender of OPTIONS wants an answer of this hop (RFC 9110 section 7.6.2). */
export function endsHere(request: ReceivedRequest): boolean {
  if (request.method !== 'OPTIONS') return false;
  const hops = headerValue(request.headers, 'max-forwards');
  return hops !== undefined && /^0+$/.test(hops);
}

function withOneHopLess(field: Field): Field {
  if (!isNamed(field, 'max-forwards') || !/^[0-9]{1,9}$/.test(field[1])) return field;
  return [field[0], String(Number(field[1]) - 1)];
}
