/** Waits for things that others cause: `look` is called whenever something happened. */
export class Waiting {
  readonly #waits = new Set<() => void>();

  /** Something happened: looks again at all that is waited for. */
  look(): void {
    for (const wait of [...this.#waits]) wait();
  }

  /**
   * Settles once `done` is true; rejects with `word` and what `seen` tells when `deadlineMs` have
   * passed without it.
   */
  async until(
    done: () => boolean | Promise<boolean>,
    deadlineMs: number,
    word: string,
    seen: () => string = () => '',
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    let isLooking = false;
    let isNews = false;
    // One look at a time: it may be a command that takes longer than the next thing to happen.
    const look = (): void => {
      isNews = isLooking;
      if (isLooking) return;
      isLooking = true;
      void Promise.resolve()
        .then(done)
        .then((isDone) => {
          isLooking = false;
          if (isDone) resolve(undefined);
          else if (isNews) look();
        }, reject);
    };
    const deadline = setTimeout(() => {
      reject(new Error(`not within ${deadlineMs} ms: ${word}\n${seen()}`));
    }, deadlineMs);
    this.#waits.add(look);
    look();
    try {
      await promise;
    } finally {
      clearTimeout(deadline);
      this.#waits.delete(look);
    }
  }
}
