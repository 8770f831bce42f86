import { createServer, type IncomingMessage } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import type { TestContext } from 'node:test';
import { startRawOrigin } from './http-rig.ts';

/** A request as the parser of `node:http` (llhttp, strict) understood it. */
export interface SeenRequest {
  /** `METHOD target body`. */
  readonly text: string;
  readonly host: string | undefined;
  readonly headers: readonly string[];
  readonly trailers: readonly string[];
  /** How often the peer wrote its mark: a request that it did not read has none. */
  readonly marks: number;
}

/**
 * An upstream server that judges what reaches it: all bytes are kept, and read by the parser of
 * another author.
 */
export class Judge {
  port = 0;
  /** Complete requests, in their order. */
  readonly requests: SeenRequest[] = [];
  /** Codes of what was no request. */
  readonly faults: string[] = [];
  /** Requests whose end has not come yet. */
  begun = 0;
  /** Requests whose end never came. */
  broken = 0;
  /** Everything received, latin1. */
  bytes = '';
  readonly #server = createServer(
    { requireHostHeader: false, maxHeaderSize: 131_072 },
    (request, response) => {
      this.#read(request, () => {
        const body = `<${request.method} ${request.url}>`;
        response.setHeader('Content-Length', body.length);
        response.end(request.method === 'HEAD' ? undefined : body);
      });
    },
  );

  constructor() {
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // The end of a connection in the middle of a request is no fault of its bytes.
      const isFault = error.code?.startsWith('HPE_') === true;
      if (isFault && error.code !== 'HPE_INVALID_EOF_STATE') this.faults.push(error.code!);
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
  }

  /** Takes a connection. */
  accept(socket: Duplex): void {
    const [outside, inside] = duplexPair();
    socket.on('data', (bytes: Buffer) => {
      this.bytes += bytes.toString('latin1');
    });
    socket.pipe(outside).pipe(socket);
    socket.on('close', () => inside.destroy());
    for (const side of [outside, inside]) side.on('error', () => undefined);
    this.#server.emit('connection', inside);
  }

  /** Forgets what it saw. */
  clear(): void {
    this.requests.length = 0;
    this.faults.length = 0;
    this.bytes = '';
  }

  #read(request: IncomingMessage, answer: () => void): void {
    let body = '';
    this.begun++;
    request.on('error', () => undefined);
    request.on('data', (bytes: Buffer) => {
      body += bytes.toString('latin1');
    });
    request.on('end', () => {
      const start = `${request.method} ${request.url}`;
      const headers = namesOf(request.rawHeaders);
      this.requests.push({
        text: body === '' ? start : `${start} ${body}`,
        host: request.headers.host,
        headers,
        trailers: namesOf(request.rawTrailers),
        marks: headers.filter((name) => name === 'proxy-beroute').length,
      });
      answer();
    });
    request.on('close', () => {
      this.begun--;
      if (!request.complete) this.broken++;
    });
  }
}

function namesOf(raw: readonly string[]): string[] {
  return raw.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
}

export async function startJudge(t: TestContext): Promise<Judge> {
  const judge = new Judge();
  judge.port = await startRawOrigin(t, (socket) => {
    judge.accept(socket);
  });
  return judge;
}

/**
 * Cuts what a client received into final responses.
 *
 * @param methods of its requests: HEAD has no body
 * @returns status of each; the rest that is no response comes last, as text
 */
export function answersIn(text: string, methods: readonly string[]): (number | string)[] {
  const answers: (number | string)[] = [];
  let rest = text;
  while (rest !== '') {
    const head = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest);
    if (head === null) return [...answers, rest];
    rest = rest.slice(head[0].length);
    const status = Number(head[1]);
    if (status < 200) continue;
    const length = Number(/^Content-Length: (\d+)\r$/im.exec(head[2]!)?.[1] ?? 0);
    const bodyBytes = methods[answers.length] === 'HEAD' ? 0 : length;
    if (rest.length < bodyBytes) return [...answers, rest];
    rest = rest.slice(bodyBytes);
    answers.push(status);
  }
  return answers;
}
