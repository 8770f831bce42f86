import type { HeaderBlock, HeaderList, ResponseHead } from '../../http/index.ts';

/** Writes one response to its client, in the client's protocol. */
export interface ClientWriter {
  /** The final head is written. */
  readonly isStarted: boolean;
  /** The connection may serve another request behind this response; HTTP/2 does not ask. */
  isPersistent: boolean;
  /** A 1xx head. Throws when it cannot be written; then nothing was. */
  interim(head: ResponseHead): void;
  /**
   * The final head. Throws when it cannot be written; then nothing was.
   *
   * @param cookies further Set-Cookie headers
   * @param date used where the head has none (RFC 9110 section 6.6.1)
   */
  head(head: ResponseHead, cookies: HeaderBlock, date: string): void;
  /** @returns false: more than the head announced; what was written so far cannot be taken back */
  data(chunk: Uint8Array): boolean;
  /** @returns false: less than the head announced, the response must break */
  end(trailers: HeaderList): boolean;
}
