import { Readable } from 'node:stream';
import type { Asked } from './http-doors.ts';
import type { Fetched } from './http-page.ts';
import type { Seen } from './http-seen.ts';

const mib = 2 ** 20;
/** A body of 1 MiB. */
export const block: Buffer = Buffer.from(
  Array.from({ length: mib }, (_, at) => (at * 17 + (at >> 8)) & 0xff),
);
const pieces = (count: number): Readable =>
  Readable.from(Array.from({ length: count }, () => block));

/** What undici asks for, and that the feature is there at all. */
export interface AnswerCase {
  readonly what: string;
  readonly asked: Asked | (() => Asked);
  readonly has?: (seen: Seen) => boolean;
}

export const get = (path: string, headers: Readonly<Record<string, string>> = {}): Asked => ({
  method: 'GET',
  path,
  headers,
});

/** Answers that must be the same at every door. */
export const answers: readonly AnswerCase[] = [
  { what: 'JSON', asked: get('/json'), has: ({ body }) => body.includes('grüße') },
  {
    what: 'fields twice, empty and in latin1, and a reason of its own',
    asked: get('/headers'),
    has: ({ headers }) => headers.some(([, value]) => value === 'caf\xe9 \xfc\xff'),
  },
  {
    what: 'many cookies',
    asked: get('/cookies'),
    has: ({ headers }) => headers.filter(([name]) => name === 'set-cookie').length === 5,
  },
  { what: 'early hints', asked: get('/hints'), has: ({ interim }) => interim.length === 2 },
  {
    what: 'chunks with trailers',
    asked: get('/chunks'),
    has: ({ trailers }) => trailers.length === 2,
  },
  { what: '204', asked: get('/nothing'), has: ({ status }) => status === 204 },
  { what: '304', asked: get('/fresh'), has: ({ status }) => status === 304 },
  {
    what: 'HEAD',
    asked: { method: 'HEAD', path: '/file' },
    has: ({ headers }) => headers.some(([, value]) => value === '100000'),
  },
  { what: '404', asked: get('/not/there'), has: ({ status }) => status === 404 },
  {
    what: 'a range',
    asked: get('/file', { range: 'bytes=500-1499' }),
    has: ({ status }) => status === 206,
  },
  {
    what: 'a range beyond',
    asked: get('/file', { range: 'bytes=900000-900001' }),
    has: ({ status }) => status === 416,
  },
  {
    what: 'gzip',
    asked: get('/gzip', { 'accept-encoding': 'gzip' }),
    has: ({ body }) => body[0] === 0x1f && body[1] === 0x8b,
  },
  { what: 'br', asked: get('/br', { 'accept-encoding': 'br' }) },
  {
    what: '10 MiB down',
    asked: get(`/body?bytes=${10 * mib}`),
    has: ({ body }) => body.length === 10 * mib,
  },
  { what: 'an empty body', asked: get('/body?bytes=0'), has: ({ body }) => body.length === 0 },
  {
    what: '1 MiB there and back',
    asked: { method: 'POST', path: '/echo', body: block },
    has: ({ body }) => body.equals(block),
  },
  {
    what: '8 MiB in chunks there and back',
    asked: () => ({ method: 'PUT', path: '/echo', body: pieces(8) }),
    has: ({ body }) => body.length === 8 * mib,
  },
  { what: '8 MiB up', asked: () => ({ method: 'POST', path: '/digest', body: pieces(8) }) },
];

const manyCookies = Array.from({ length: 60 }, (_, at) => `c${at}="value ${at}"`).join('; ');

/** Requests that must look the same to the application at every door. */
export const requests: readonly (readonly [what: string, asked: Asked])[] = [
  ['an encoded slash', get('/view/a%2Fb%2fc')],
  ['empty segments', get('/view//x//')],
  ['path parameters', get('/view/x;a=b;c/y;=')],
  ['an empty query', get('/view/x?')],
  ['a query with everything', get('/view?a=b&a=c&&=%20+%zz?&x=/../%2e')],
  ['dot segments', get('/view/a/../b/./%2e%2e/c')],
  ['8 KiB of target', get(`/view?x=${'y'.repeat(8_192 - 8)}`)],
  ['PUT', { method: 'PUT', path: '/view', body: 'put' }],
  ['PUT without body', { method: 'PUT', path: '/view' }],
  ['PATCH', { method: 'PATCH', path: '/view', body: 'patch' }],
  ['POST without body', { method: 'POST', path: '/view' }],
  ['DELETE', { method: 'DELETE', path: '/view/1' }],
  ['DELETE with body', { method: 'DELETE', path: '/view/1', body: 'delete' }],
  [
    'fields in latin1, empty and in lists',
    get('/view', { 'X-Name': 'caf\xe9 \xff', 'X-Empty': '', 'If-Match': '"a", "b"' }),
  ],
  ['many cookies', get('/view', { cookie: manyCookies })],
];

/** A target one byte too long. */
export const tooLong: Asked = get(`/view?x=${'y'.repeat(8_192 - 7)}`);

/** Makes curl wait for a 100 before it sends its body. */
export const continues = ['-H', 'Expect: 100-continue', '--expect100-timeout', '50'] as const;

/** What curl asks for; `UPLOAD` stands for a file of 1 MiB. */
export const curlRequests: readonly (readonly [path: string, ...args: string[]])[] = [
  ...answers.flatMap(({ asked }): [string][] =>
    typeof asked === 'object' && asked.method === 'GET' ? [[asked.path]] : [],
  ),
  ['/file', '--head'],
  ['/until-closed'],
  ['/view/a%2Fb//x;y=z/../q?', '-X', 'DELETE'],
  ['/echo', '-T', 'UPLOAD'],
  ['/echo', '-T', 'UPLOAD', '-H', 'Transfer-Encoding: chunked'],
  ['/echo', '-T', 'UPLOAD', ...continues],
  ['/echo?refused', '-T', 'UPLOAD', ...continues],
  ['/json', '--http1.0'],
];

/** What a page asks for. */
export const fetches: readonly Fetched[] = [
  ...['/json', '/headers', '/chunks', '/nothing', '/gzip', '/br', '/hints', '/until-closed'].map(
    (path): Fetched => ({ path, method: 'GET' }),
  ),
  { path: '/file', method: 'HEAD' },
  { path: '/file', method: 'GET', headers: { range: 'bytes=10-20' } },
  { path: `/body?bytes=${3 * mib}`, method: 'GET' },
  { path: '/echo', method: 'POST', bodyBytes: mib },
  { path: '/digest', method: 'PUT', bodyBytes: mib / 2 },
  { path: '/not/there', method: 'PATCH', bodyBytes: 10 },
  { path: '/not/there', method: 'DELETE' },
];
