import type { Socket } from 'node:net';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import { ClientConnection } from './client-connection.ts';
import { type HttpClient, lose } from './client.ts';
import type { ListenerContext } from './listener-context.ts';

/** Serves HTTP/1.1 on a connection. */
export function openHttp1(
  socket: Socket,
  remote: HttpRemote,
  context: ListenerContext,
): HttpClient {
  const connection = new ClientConnection(socket, remote, context);
  socket.on('data', (bytes: Buffer) => {
    try {
      connection.receive(bytes);
    } catch (error) {
      lose(connection, context, error);
    }
  });
  socket.on('drain', () => {
    try {
      connection.writable();
    } catch (error) {
      lose(connection, context, error);
    }
  });
  socket.on('end', () => {
    try {
      connection.ended();
    } catch (error) {
      lose(connection, context, error);
    }
  });
  socket.resume();
  return connection;
}
