/**
 * The least that Node can do for HTTP: looks for the end of a head, passes the bytes on unchanged over kept
 * connections, passes back what comes. It reads nothing, checks nothing, chooses nothing.
 *
 * Usage: tcp-forwarder.ts PORT ORIGIN_PORT...
 */
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

const [listenPort, originPort] = process.argv.slice(2).map(Number);
const idle: Socket[] = [];
const askers = new Map<Socket, Socket>();

function dial(): Socket {
  const origin = connect({ port: originPort!, host: '127.0.0.1', noDelay: true });
  origin.on('data', (bytes) => {
    const asker = askers.get(origin);
    idle.push(origin);
    asker?.write(bytes);
  });
  origin.on('error', () => undefined);
  return origin;
}

const server = createServer({ noDelay: true }, (client) => {
  client.on('data', (bytes) => {
    if (bytes.indexOf('\r\n\r\n') < 0) return;
    const origin = idle.pop() ?? dial();
    askers.set(origin, client);
    origin.write(bytes);
  });
  client.on('error', () => undefined);
});
server.listen(listenPort, '127.0.0.1', 4096, () => {
  console.log('ready');
});
