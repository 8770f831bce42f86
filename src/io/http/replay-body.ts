import { httpLimits } from '../../config/defaults.ts';
import type { HeaderList, RequestReceiver } from '../../http/index.ts';

/**
 * The beginning of a request's body, kept so that a request which its instance refused (nothing was
 * processed) can be given to the next one.
 */
export class ReplayBody {
  /** The body is whole. */
  isComplete = false;
  /** Something of the body has arrived. */
  hasBegun = false;
  readonly #bytesMax: number;
  #chunks: Uint8Array[] | undefined = [];
  #bytes = 0;
  #trailers: HeaderList = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Everything that arrived so far is still here. */
  get canReplay(): boolean {
    return this.#chunks !== undefined;
  }

  data(chunk: Uint8Array): void {
    this.hasBegun = true;
    if (this.#chunks === undefined) return;
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    const isTooMuch =
      this.#bytes > this.#bytesMax || this.#chunks.length > httpLimits.replayPiecesMax;
    if (isTooMuch) this.#chunks = undefined;
  }

  end(trailers: HeaderList): void {
    this.hasBegun = true;
    this.isComplete = true;
    this.#trailers = trailers;
  }

  /** Gives what arrived so far to an instance. */
  replayTo(serving: RequestReceiver): void {
    for (const chunk of this.#chunks ?? []) serving.data(chunk);
    if (this.isComplete) serving.end(this.#trailers);
  }

  /** An answer has begun: nobody else will be asked. */
  forget(): void {
    this.#chunks = undefined;
  }
}
