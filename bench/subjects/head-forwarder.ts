/**
 * The bare forwarder with what no HTTP proxy may leave out: both heads are read by the peer's own parsers,
 * freed of headers of one hop, and written anew. It bounds nothing, chooses nothing, remembers nothing; what
 * a peer costs beyond it is the peer's work.
 *
 * Usage: head-forwarder.ts PORT ORIGIN_PORT...
 */
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import {
  createRequestHeadParser,
  createResponseHeadParser,
  endToEndRequestHeaders,
  endToEndResponseHeaders,
  isFault,
  responseFraming,
  serializeRequestHead,
  serializeResponseHead,
} from '../../src/http/index.ts';

const [listenPort, originPort] = process.argv.slice(2).map(Number);

/** A kept connection to the origin, and the client that waits for its answer. */
interface Upstream {
  readonly socket: Socket;
  client: Socket | undefined;
}

const idle: Upstream[] = [];

function dial(): Upstream {
  const socket = connect({ port: originPort!, host: '127.0.0.1', noDelay: true });
  const upstream: Upstream = { socket, client: undefined };
  const parser = createResponseHeadParser();
  socket.on('data', (bytes) => {
    const progress = parser.feed(bytes, 0);
    if (progress.kind !== 'head')
      throw new Error('the answers of this measurement come in one piece');
    const { status, reason, headers, connectionOptions, framingHeaders } = progress.head;
    const framing = responseFraming(framingHeaders, status, 'GET');
    if (isFault(framing) || framing.kind === 'close') throw new Error('an answer without length');
    const kept = endToEndResponseHeaders(headers, connectionOptions);
    const head = serializeResponseHead({ status, reason, headers: kept, framing }, framing, '');
    upstream.client?.write(head + bytes.toString('latin1', progress.next), 'latin1');
    idle.push(upstream);
  });
  socket.on('error', () => undefined);
  return upstream;
}

const server = createServer({ noDelay: true }, (client) => {
  const parser = createRequestHeadParser();
  client.on('data', (bytes) => {
    const progress = parser.feed(bytes, 0);
    if (progress.kind !== 'head')
      throw new Error('the requests of this measurement come in one piece');
    const { method, target, headers, connectionOptions, framing } = progress.head;
    const kept = endToEndRequestHeaders(headers, connectionOptions);
    const upstream = idle.pop() ?? dial();
    upstream.client = client;
    const head = { method, target, headers: kept, framing };
    upstream.socket.write(serializeRequestHead(head, ''), 'latin1');
  });
  client.on('error', () => undefined);
});
server.listen(listenPort, '127.0.0.1', 4096, () => {
  console.log('ready');
});
