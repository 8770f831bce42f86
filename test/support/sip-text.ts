/** Builds SIP messages for tests: lines joined by CRLF, an empty line and the body at the end. */
export function sip(lines: readonly string[], body = ''): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'utf8');
}

export interface RequestOptions {
  readonly method?: string;
  readonly uri?: string;
  readonly callId?: string;
  readonly fromTag?: string;
  readonly toTag?: string;
  readonly cseq?: number;
  readonly cseqMethod?: string;
  readonly via?: readonly string[];
  readonly extra?: readonly string[];
  readonly body?: string;
}

/** A request as a plain client would send it. */
export function request(options: RequestOptions = {}): Buffer {
  const method = options.method ?? 'INVITE';
  const vias = options.via ?? ['SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKclient1;rport'];
  const toTag = options.toTag === undefined ? '' : `;tag=${options.toTag}`;
  const body = options.body ?? '';
  return sip(
    [
      `${method} ${options.uri ?? 'sip:alice@example.com'} SIP/2.0`,
      ...vias.map((via) => `Via: ${via}`),
      'Max-Forwards: 70',
      `From: <sip:bob@example.com>;tag=${options.fromTag ?? 'from1'}`,
      `To: <sip:alice@example.com>${toTag}`,
      `Call-ID: ${options.callId ?? 'call-1@client'}`,
      `CSeq: ${options.cseq ?? 1} ${options.cseqMethod ?? method}`,
      ...(options.extra ?? []),
      `Content-Length: ${Buffer.byteLength(body)}`,
    ],
    body,
  );
}
