import type { Socket } from 'node:net';
import { HeaderBlock, type RequestReceiver } from '../../../src/http/index.ts';
import type { HttpClient, ServeHttp } from '../../../src/io/http/index.ts';

/** Takes a request's body and does nothing with it. */
export const nothing: RequestReceiver = {
  data: () => undefined,
  end: () => undefined,
  reset: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

/** An instance that answers with the head of the request as it got it, and makes a session. */
export const echoing: ServeHttp = (_, request, __, response) => {
  const lines = request.headers.list().map(([name, value]) => `${name}: ${value}\n`);
  const body = Buffer.from(`${request.method} ${request.target}\n${lines.join('')}`);
  response.head({
    status: 200,
    reason: 'OK',
    headers: HeaderBlock.of([['Set-Cookie', 'sid=1']]),
    framing: { kind: 'length', bytes: body.length },
  });
  response.data(body);
  response.end([]);
  return nothing;
};

/** A client of some protocol that does nothing by itself. */
export function silentClient(socket: Socket, more: Partial<HttpClient> = {}): HttpClient {
  return {
    bufferedBytes: 0,
    sweep: () => undefined,
    drain: () => undefined,
    stop: () => socket.destroy(),
    destroy: () => socket.destroy(),
    closed: () => undefined,
    defect: () => socket.destroy(),
    ...more,
  };
}

/** Waits turn by turn of the event loop; gives up long after it should have come true. */
export async function until(isSo: () => boolean): Promise<void> {
  const latestMs = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > latestMs) throw new Error(`never true: ${String(isSo)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
