import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';

/** An HTTP server beside the peer, in whatever version of HTTP it is spoken to. */
export interface UpstreamHttpServer {
  /** Open connections, busy and idle. */
  readonly connections: number;
  /** Requests that wait for a connection. */
  readonly waiting: number;
  /** Exchanges and tunnels under way, and requests that wait. */
  readonly exchanges: number;
  /** Bytes of request bodies that wait for the server. */
  readonly bufferedBytes: number;
  /**
   * Sends a final request. Refused connections, and all while the server is ejected, reset with
   * `refused`, a full queue with `limit`, a server that does not answer in time with `timeout`, anything
   * else with `broken`.
   */
  serve(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver;
  /** Closes all connections; running exchanges end with `broken`. */
  stop(): Promise<void>;
}
