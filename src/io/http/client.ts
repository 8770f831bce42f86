import type { Socket } from 'node:net';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import type { ListenerContext } from './listener-context.ts';

/** One connection of a client, whatever it speaks, from the gates of its listener to its close. */
export interface HttpClient {
  /** Bytes held for it: of responses that it has not taken, of requests that wait their turn. */
  readonly bufferedBytes: number;
  /** Called every `sweepIntervalMs`: acts when a time is over. */
  sweep(): void;
  /**
   * The listener drains, or drained before this connection came: the client is told to connect anew
   * (`Connection: close`, GOAWAY), with the next response at the latest. Requests that it sent before
   * it knew are served.
   */
  drain(): void;
  /** The listener stops: it closes at once if no exchange runs, else with the last one. */
  stop(): void;
  /** Closes at once. */
  destroy(): void;
  /** The socket is closed, from either side. */
  closed(): void;
  /** A defect of ours was met while it was served: running exchanges fail, then it closes. */
  defect(): void;
}

/**
 * Takes a connection over. Its socket may be paused, with bytes of the client waiting in it. The
 * caller listens for `error` and `close`, all other events belong to the client; what they run into
 * is handled by {@link lose}.
 */
export type OpenClient = (
  socket: Socket,
  remote: HttpRemote,
  context: ListenerContext,
) => HttpClient;

/** The one boundary for defects of ours: the connection is lost, the peer is not. */
export function lose(client: HttpClient, context: ListenerContext, error: unknown): void {
  context.counters.count('http_defects', 'connection');
  context.log.error({ error }, 'HTTP connection failed');
  try {
    client.defect();
  } catch {
    client.destroy();
  }
}
