import type { httpTimeouts } from '../../config/defaults.ts';
import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { HttpJourney } from '../../pipeline/http-journey.ts';
import type { RetryBudget } from '../../pipeline/http-retry.ts';

/**
 * Hands a request to one instance: its application here, or the link to its peer. Undefined: it
 * cannot be reached and nothing was sent. The response may begin before this returns.
 */
export type ServeHttp = (
  instance: string,
  request: RequestHead,
  envelope: Envelope,
  response: ResponseReceiver,
) => RequestReceiver | undefined;

/** Hands a request to the server that takes them when no instance is left. */
export type ServeElsewhere = (request: RequestHead, response: ResponseReceiver) => RequestReceiver;

/** Times of HTTP in milliseconds; see `httpTimeouts` in config/defaults.ts. */
export type HttpTimeouts = { readonly [Name in keyof typeof httpTimeouts]: number };

/** The part of a logger that HTTP uses. */
export interface HttpLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** What all connections of one listener share. */
export interface ListenerContext {
  readonly journey: HttpJourney;
  readonly serve: ServeHttp;
  /** Undefined: there is no such server. */
  readonly serveElsewhere: ServeElsewhere | undefined;
  /** How many requests may be offered again after they may have been processed. */
  readonly retries: RetryBudget;
  readonly whenNumberKnown: (number: string) => Promise<void>;
  readonly counters: Counters;
  /** Body bytes came from a client, or for one. */
  readonly passed: (bytes: number) => void;
  readonly timeouts: HttpTimeouts;
  readonly log: HttpLog;
  /** Requests of one HTTP/2 connection at one time. */
  readonly streamsMax: number;
  /** Milliseconds of a monotonic clock, as of the last sweep. */
  nowMs: number;
  /** Value of Date, as of the last sweep. */
  date: string;
  /** Set when the peer drains or stops: responses tell clients to connect anew. */
  isDraining: boolean;
  /** Set when the listener stops: connections end with their running exchange. */
  isStopping: boolean;
}
