import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { SecureContext } from 'node:tls';
import type { Outcome } from './rendezvous.ts';

export interface EtcdExchange {
  readonly url: URL;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** For `https:`. */
  readonly credentials?: SecureContext;
  /** From the start to the last byte of the answer. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

export interface EtcdResponse {
  readonly status: number;
  readonly body: string;
}

/**
 * One request on a connection of its own: none lingers that looks alive and is not. Gives a fault
 * when there is no whole answer in time, or `signal` aborts.
 */
export function exchange(
  { url, body, headers, credentials, timeoutMs, answerBytesMax }: EtcdExchange,
  signal: AbortSignal,
): Promise<Outcome<EtcdResponse>> {
  return new Promise((resolve) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const request = send(url, {
      method: 'POST',
      agent: false,
      signal,
      headers: { ...headers, 'content-type': 'application/json', connection: 'close' },
      ...(credentials === undefined ? {} : { secureContext: credentials }),
    });
    const failed = (fault: string): void => {
      resolve({ ok: false, fault });
      request.destroy();
    };
    const deadline = setTimeout(() => {
      failed(`no answer within ${timeoutMs} ms`);
    }, timeoutMs);
    request.on('error', (error) => {
      failed(error.message);
    });
    request.on('close', () => {
      clearTimeout(deadline);
      // After a whole answer this comes too late to count.
      failed('the connection ended before the answer');
    });
    request.on('response', (response) => {
      collect(response, answerBytesMax, failed, (text) => {
        resolve({ ok: true, value: { status: response.statusCode ?? 0, body: text } });
      });
    });
    request.end(body);
  });
}

function collect(
  response: IncomingMessage,
  bytesMax: number,
  failed: (fault: string) => void,
  done: (text: string) => void,
): void {
  const pieces: Buffer[] = [];
  let length = 0;
  response.on('data', (piece: Buffer) => {
    length += piece.length;
    if (length > bytesMax) failed(`the answer is larger than ${bytesMax} bytes`);
    else pieces.push(piece);
  });
  response.on('error', (error) => {
    failed(error.message);
  });
  response.on('end', () => {
    done(Buffer.concat(pieces).toString('utf8'));
  });
}
