/** One stream or WebSocket that carries SIP: a flow. */
export interface SipConnection {
  /** Whether it takes messages still. */
  readonly isOpen: boolean;
  /** False: it is gone, or its backlog was full and it was cut off. */
  send(message: Buffer): boolean;
  /**
   * Sends an answer where the far side takes answers, but sends nothing more.
   *
   * @param lost called later when it turns out that the far side was gone altogether
   * @returns false: this is no such connection
   */
  answerLast(message: Buffer, lost: () => void): boolean;
  /** Looks at its times: called every `sweepIntervalMs`. */
  sweep(nowMs: number): void;
  /** Ends in good order; the next sweep waits no longer for the other side. */
  end(): void;
}
