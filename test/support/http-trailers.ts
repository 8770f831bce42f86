import { once } from 'node:events';
import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect } from 'node:http2';
import { request as requestHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Door, Doors } from './http-doors.ts';
import { siteName } from './http-site.ts';

/** What a client of Node saw that asked /view with trailers of its own, and sent its body behind a 100 alone. */
export interface Continued {
  readonly status: number;
  readonly body: string;
}

const body = 'sent behind the 100';
const trailers = { 'X-Sum': '4711', 'X-Last': 'caf\xe9' };

/** Asks so at a door: undici has no trailers, and curl does not tell when it sent what. */
export function sendWithTrailers(doors: Doors, door: Door): Promise<Continued> {
  return doors.version(door) === '2' ? byHttp2(doors, door) : byHttp1(doors, door);
}

function headersOf({ site }: Doors): Record<string, string> {
  return { Cookie: site.cookie, Expect: '100-continue', Trailer: 'X-Sum, X-Last' };
}

async function byHttp1(doors: Doors, door: Door): Promise<Continued> {
  const url = new URL('/view', doors.origin(door));
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    headers: { Host: siteName, ...headersOf(doors), 'Transfer-Encoding': 'chunked' },
  };
  const sent =
    url.protocol === 'https:'
      ? requestHttps(url, { ...options, ca: doors.ca, servername: siteName })
      : requestHttp(url, options);
  sent.flushHeaders();
  await once(sent, 'continue');
  sent.write(body);
  sent.addTrailers(trailers);
  sent.end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, body: await text(answer) };
}

async function byHttp2(doors: Doors, door: Door): Promise<Continued> {
  const ca = doors.ca === undefined ? {} : { ca: doors.ca };
  const session = connect(doors.origin(door), { ...ca, servername: siteName });
  try {
    const head = { ':method': 'POST', ':path': '/view', ':authority': siteName };
    const stream = session.request({ ...head, ...headersOf(doors) }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    await once(stream, 'continue');
    stream.end(body);
    const [answer] = (await once(stream, 'response')) as [{ ':status': number }];
    return { status: answer[':status'], body: await text(stream) };
  } finally {
    session.close();
  }
}
