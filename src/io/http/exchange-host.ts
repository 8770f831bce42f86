import type { HttpRemote } from '../../pipeline/http-forward.ts';
import type { ListenerContext } from './listener-context.ts';

/** The connection that an exchange belongs to. */
export interface ExchangeHost {
  readonly context: ListenerContext;
  readonly remote: HttpRemote;
  /** The request has an instance: its body may be read. */
  routed(): void;
  /** Holds back or goes on reading the request's body. */
  holdBody(isHeld: boolean): void;
  /** Something happened that the connection's clock should know. */
  progressed(): void;
  /** The request went over to another protocol: what the client sends from here on is its data. */
  tunnelled(): void;
  /** A tunnel's direction to the client has ended; the other one goes on. */
  responseEnded(): void;
  /** The response is written whole, and both directions of a tunnel. */
  answered(isPersistent: boolean): void;
  /** The response cannot be completed: the client must see that. */
  broken(): void;
}
