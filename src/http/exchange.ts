import type { HeaderBlock } from './header-block.ts';

/**
 * The contract of one HTTP exchange between the side that asks and the side that serves. The same
 * two interfaces join listener, link, upstream pool and embedded application, so an exchange is
 * wired alike whether it is served here or at another peer.
 *
 * Calls are synchronous and in order. After `end` or `reset` of a direction no more calls of that
 * direction follow. `reset` ends both directions. `pause`/`resume` concern the opposite direction's
 * body: a receiver that can take no more says so on its own handle, and the sender stops soon after
 * (what is in flight still arrives, bounded by the limits in config/defaults.ts).
 */

/** Names and values as they stood on the wire, latin1, in order. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** How the body is delimited; framing headers are rebuilt from this on every hop, never copied. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /**
   * Of a request: it asks to go over to the protocol in its Upgrade header; no body comes unless the
   * answer is 101, and `end` follows only on another answer. Of a 101: from here on both directions are
   * byte streams, each with its own end.
   */
  | { readonly kind: 'tunnel' };

/** A request whose head is final: routed, stamped, stripped of hop-by-hop and framing headers. */
export interface RequestHead {
  readonly method: string;
  /** Origin-form target as sent by the client (RFC 9112 section 3.2.1). */
  readonly target: string;
  /**
   * End-to-end headers only, Host included; no Content-Length and no Transfer-Encoding. Upgrade stays
   * where the framing is `tunnel`, `TE: trailers` where the client takes trailers.
   */
  readonly headers: HeaderBlock;
  readonly framing: BodyFraming;
}

/** A response as the application gave it: end-to-end headers only, framing apart. */
export interface ResponseHead {
  /** 1xx heads may precede the final one; 101 is final. */
  readonly status: number;
  /** Empty where HTTP/2 brought it. */
  readonly reason: string;
  readonly headers: HeaderBlock;
  /** For HEAD and 304 `length` may be announced though no body follows. */
  readonly framing: BodyFraming;
}

/** Why an exchange ended before its end. */
export type ResetCode =
  /** No connection to whoever should serve; nothing of the request was processed. Safe to try elsewhere. */
  | 'refused'
  /** The connection broke or the other side broke protocol after bytes had been sent. */
  | 'broken'
  | 'timeout'
  /** The client went away, or the asking side gave up. */
  | 'cancelled'
  /** A limit was reached (body size, buffered bytes). */
  | 'limit';

/** The serving side's handle to the asker: it receives the response. */
export interface ResponseReceiver {
  head(head: ResponseHead): void;
  data(chunk: Uint8Array): void;
  end(trailers: HeaderList): void;
  reset(code: ResetCode): void;
  /** Stop sending the request body. */
  pause(): void;
  /** Go on sending the request body. */
  resume(): void;
}

/** The asker's handle to the serving side: it receives the request body. */
export interface RequestReceiver {
  data(chunk: Uint8Array): void;
  end(trailers: HeaderList): void;
  reset(code: ResetCode): void;
  /** Stop sending the response body. */
  pause(): void;
  /** Go on sending the response body. */
  resume(): void;
}
