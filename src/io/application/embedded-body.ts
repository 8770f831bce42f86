import { applicationLimits } from '../../config/defaults.ts';

/** What a body asks of whoever sends it. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** The module reads for the first time. */
  wanted(): void;
}

/**
 * A request body between the peer, which pushes, and a module, which pulls. Above
 * `httpBodyPauseBytes` or `httpBodyPausePieces` the source is held back until half of that is left.
 */
export class EmbeddedBody implements AsyncIterable<Uint8Array> {
  readonly #source: BodySource;
  readonly #chunks: Uint8Array[] = [];
  #bytesWaiting = 0;
  #isPaused = false;
  #isWanted = false;
  #state: 'open' | 'ended' | 'failed' | 'discarded' = 'open';
  #failure: Error | undefined;
  #wakeReader: (() => void) | undefined;

  constructor(source: BodySource) {
    this.#source = source;
  }

  /** False: more came than may wait, although the source was told to pause. */
  push(chunk: Uint8Array): boolean {
    if (this.#state !== 'open' || chunk.length === 0) {
      return true;
    }
    if (this.#bytesWaiting + chunk.length > applicationLimits.httpBodyBytesMax) {
      return false;
    }
    this.#chunks.push(chunk);
    this.#bytesWaiting += chunk.length;
    const isFull =
      this.#bytesWaiting > applicationLimits.httpBodyPauseBytes ||
      this.#chunks.length > applicationLimits.httpBodyPausePieces;
    if (!this.#isPaused && isFull) {
      this.#isPaused = true;
      this.#source.pause();
    }
    this.#wake();
    return true;
  }

  /** The body is complete. */
  end(): void {
    if (this.#state === 'open') {
      this.#state = 'ended';
      this.#wake();
    }
  }

  /** The body will not be completed; whoever reads it gets this error. */
  fail(failure: Error): void {
    if (this.#state === 'open') {
      this.#state = 'failed';
      this.#failure = failure;
      this.#drop();
      this.#wake();
    }
  }

  /** Nobody will read it: what waits and what still comes is thrown away, so that it can end. */
  discard(): void {
    if (this.#state === 'open' || this.#state === 'ended') {
      this.#state = 'discarded';
      this.#drop();
      this.#resumeSource();
      this.#wake();
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: () => {
        this.discard();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#isWanted) {
      this.#isWanted = true;
      this.#source.wanted();
    }
    while (this.#chunks.length === 0 && this.#state === 'open') {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#bytesWaiting -= chunk.length;
      const isHalfEmpty =
        this.#bytesWaiting <= applicationLimits.httpBodyPauseBytes / 2 &&
        this.#chunks.length <= applicationLimits.httpBodyPausePieces / 2;
      if (isHalfEmpty) {
        this.#resumeSource();
      }
      return { done: false, value: chunk };
    }
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    return { done: true, value: undefined };
  }

  #resumeSource(): void {
    if (this.#isPaused) {
      this.#isPaused = false;
      this.#source.resume();
    }
  }

  #drop(): void {
    this.#chunks.length = 0;
    this.#bytesWaiting = 0;
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}
