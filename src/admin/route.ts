import type { IncomingMessage } from 'node:http';
import { adminLimits } from '../config/defaults.ts';

/** What the admin server answers. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request as a page sees it. */
export interface AdminRequest {
  /** Of the query, the last of each name; decoded. */
  readonly query: ReadonlyMap<string, string>;
  /** What stands behind the path of a page that ends in `/`; decoded, empty for others. */
  readonly rest: string;
  /** Who asks, for the log. */
  readonly by: string;
  /** The whole body as text; rejects with {@link BodyTooLarge} above the limit. */
  readonly body: () => Promise<string>;
}

/** One page of the admin server, for one method. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Starts with `/`; one that ends in `/` serves all below it. */
  readonly path: string;
  /** Probes of an orchestrator bring no token and name the host as they please. */
  readonly isOpen?: boolean;
  serve(request: AdminRequest): Answer | Promise<Answer>;
}

/** The client sent more than the limit. */
export class BodyTooLarge extends Error {}

/** An answer of JSON, one line. */
export function json(status: number, body: unknown): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

/** What a page gets of a request. `path` is that of its route. */
export function adminRequest(request: IncomingMessage, path: string): AdminRequest {
  const url = new URL(request.url ?? '/', 'http://admin');
  return {
    query: new Map(url.searchParams),
    rest: path.endsWith('/') ? decoded(url.pathname.slice(path.length)) : '',
    by: String(request.socket.remoteAddress),
    body: () => readBody(request),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > adminLimits.bodyBytesMax) throw new BodyTooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
