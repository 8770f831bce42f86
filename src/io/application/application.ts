import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';

/**
 * What serves the requests of one instance: an embedded module or an upstream server beside the
 * peer. Messages arrive decided and final; the application never routes.
 */
export interface Application {
  /** HTTP exchanges and tunnels under way or waiting, for which a drain waits. */
  readonly exchanges: number;
  /** Binds what it needs (sockets, the module). Rejects with a clear message when it cannot. */
  start(): Promise<void>;
  /** Takes a final SIP request. False: it cannot be delivered now; nothing was sent. */
  deliverSip(message: Buffer, envelope: Envelope): boolean;
  /** Takes a final response to a request that it, or one that it took over from, has sent. False: nothing was sent. */
  deliverResponse(message: Buffer): boolean;
  /** Sends a response on the flow (`a...`) on which it sent the request; dropped and counted where that is gone. */
  answer(flow: string, target: ResponseTarget): void;
  /** Serves one HTTP exchange; failures are told by `response.reset`. */
  serveHttp(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver;
  stop(): Promise<void>;
}

/** Where an application's SIP responses go: `peer.ts` passes them to the pipeline. */
export interface ApplicationOutlet {
  /** A response as the application wrote it; the top Via is the one that the ingress peer pushed. */
  sipResponse(message: Buffer): void;
}
