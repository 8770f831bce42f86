/**
 * The interface of an embedded application: a module that exports `createApplication`. It runs in
 * the peer's process, behind SIP server transactions (RFC 3261 section 17.2, RFC 6026) and the
 * peer's HTTP framing, so it sees each request once and answers with plain values.
 */

/** Given to the module when the peer starts. */
export interface ApplicationContext {
  /** Name of the instance that this module serves. */
  readonly instance: string;
  /** Writes a line to the peer's log. */
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string): void;
}

/** A SIP request as an embedded application sees it. */
export interface EmbeddedSipRequest {
  readonly method: string;
  readonly requestUri: string;
  /** First value of a header, compact forms included, names without case. */
  header(name: string): string | undefined;
  /** All values of a header in order. */
  headers(name: string): readonly string[];
  /** User part of the Request-URI, unescaped; empty when there is none. */
  readonly user: string;
  readonly callId: string;
  readonly fromTag: string;
  /** Undefined outside a dialog. */
  readonly toTag: string | undefined;
  readonly body: Uint8Array;
  /**
   * Sends a response. Via, From, To, Call-ID, CSeq, Record-Route and Content-Length are made from
   * the request; `toTag` is added to To where the request has none. Provisional answers may precede
   * one final answer; a second final answer throws. ACK takes no answer.
   */
  respond(response: EmbeddedSipResponse): void;
  /**
   * Called when a CANCEL ends this INVITE before its final answer; the CANCEL itself is answered,
   * the INVITE is the listener's to answer (487). Without a listener the peer answers it 487.
   */
  onCancel(listener: () => void): void;
}

export interface EmbeddedSipResponse {
  readonly status: number;
  readonly reason?: string;
  readonly toTag?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array;
}

/** An HTTP request as an embedded application sees it. */
export interface EmbeddedHttpRequest {
  readonly method: string;
  /** Path and query as the client sent them. */
  readonly target: string;
  header(name: string): string | undefined;
  cookie(name: string): string | undefined;
  /** Chunks as they arrive; reading slowly holds the client back. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export interface EmbeddedHttpResponse {
  readonly status: number;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** What `createApplication` returns. A missing handler answers 405 (SIP) or 404 (HTTP). */
export interface EmbeddedApplication {
  /** Added to the SIP responses that the peer makes itself: 100, 200 to CANCEL, 405, 408, 481, 487, 500, 503. */
  readonly sipHeaders?: readonly (readonly [name: string, value: string])[];
  sip?(request: EmbeddedSipRequest): void;
  http?(request: EmbeddedHttpRequest): EmbeddedHttpResponse | Promise<EmbeddedHttpResponse>;
  stop?(): void | Promise<void>;
}

/** The one export that an application module must have. */
export type CreateApplication = (
  context: ApplicationContext,
) => EmbeddedApplication | Promise<EmbeddedApplication>;
