import { httpLimits, upstreamHttp2Limits } from '../../config/defaults.ts';
import { type ExchangeCarrier, UpstreamHttpExchange } from './upstream-http-exchange.ts';

/**
 * A request that may go over several sessions: until the server responds, what was sent of its body is
 * kept, because a server that leaves says which requests it has not processed (RFC 9113 section 6.8).
 */
export class UpstreamHttp2Exchange extends UpstreamHttpExchange {
  #tries = 0;
  /** Undefined once it cannot be sent again. */
  #sent: Uint8Array[] | undefined = [];
  #sentBytes = 0;

  /** Whether it may go over another session if nothing of it was processed. */
  get canMove(): boolean {
    return this.#sent !== undefined && this.#tries < upstreamHttp2Limits.triesMax;
  }

  override carriedBy(carrier: ExchangeCarrier): void {
    this.#tries++;
    const again = this.#sent ?? [];
    this.#sent = [];
    this.#sentBytes = 0;
    for (const chunk of again) carrier.bodyData(chunk);
    super.carriedBy(carrier);
  }

  override answered(): void {
    this.#sent = undefined;
    super.answered();
  }

  /** Keeps a piece of the body that was sent. */
  keep(chunk: Uint8Array): void {
    if (this.#sent === undefined) return;
    this.#sentBytes += chunk.length;
    const isTooMuch =
      this.#sentBytes > httpLimits.replayBytesMax ||
      this.#sent.length >= httpLimits.replayPiecesMax;
    if (isTooMuch) this.#sent = undefined;
    else this.#sent.push(chunk);
  }
}
