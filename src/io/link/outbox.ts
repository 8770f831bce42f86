import type { Buffer } from 'node:buffer';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';
import { BatchEncoder } from './batch-encoder.ts';
import type { GoodbyeFrame, HelloFrame, HttpFrame } from './frame.ts';
import type { LinkLimits } from './options.ts';

/** What an outbox needs of a gRPC call, on either side. */
export interface BatchStream {
  /** `done` is called when the connection below has taken the batch. */
  write(batch: Buffer, done: () => void): unknown;
}

/**
 * The sending half of a lane. Frames of one turn of the event loop leave as one batch; a turn that
 * makes many leaves several. No timer: an idle lane adds no delay.
 */
export class Outbox {
  readonly #stream: BatchStream;
  readonly #limits: LinkLimits;
  readonly #counters: Counters;
  readonly #onWritable: () => void;
  readonly #encoder: BatchEncoder;
  #frames: (HttpFrame | HelloFrame | GoodbyeFrame)[] = [];
  /** Body bytes in `#frames`. */
  #frameBytes = 0;
  /** Given to the stream, not yet taken by the connection. */
  #unsentBytes = 0;
  #wasCongested = false;
  #isScheduled = false;
  #isClosed = false;
  #whenSent: (() => void) | undefined;
  #turn = 0;

  constructor(
    stream: BatchStream,
    limits: LinkLimits,
    counters: Counters,
    /** Called when the outbox takes bodies again after it was congested. */
    onWritable: () => void,
  ) {
    this.#stream = stream;
    this.#limits = limits;
    this.#counters = counters;
    this.#onWritable = onWritable;
    this.#encoder = new BatchEncoder(limits, (batch, frames) => {
      this.#write(batch, frames);
    });
  }

  /** Grows each time the waiting frames are written; while it stands, a frame may still be changed. */
  get turn(): number {
    return this.#turn;
  }

  get queuedBytes(): number {
    return this.#unsentBytes + this.#frameBytes + this.#encoder.pendingBytes;
  }

  /** False: the connection is behind, send no more bodies until `onWritable`. */
  takesBodies(): boolean {
    return this.#isBelow(this.queuedBytes);
  }

  /** Copies the message. False: the connection is behind, nothing was sent, the drop is counted. */
  sipRequest(message: Uint8Array, envelope: Envelope): boolean {
    const limit = continues(envelope)
      ? this.#limits.laneQueueBytesMax
      : this.#limits.laneQueueInitialBytesMax;
    if (!this.#takes(message, limit)) return false;
    this.#encoder.sipRequest(message, envelope);
    this.#schedule();
    return true;
  }

  /** Copies the message. False as above. */
  sipResponse(message: Uint8Array): boolean {
    if (!this.#takes(message, this.#limits.laneQueueBytesMax)) return false;
    this.#encoder.sipResponse(message);
    this.#schedule();
    return true;
  }

  /** Copies the message. False as above. */
  toApplication(message: Uint8Array): boolean {
    if (!this.#takes(message, this.#limits.laneQueueBytesMax)) return false;
    this.#encoder.toApplication(message);
    this.#schedule();
    return true;
  }

  /** Copies the message. False as above. */
  toFlow(message: Uint8Array, flow: string, target: SipTarget | undefined): boolean {
    if (!this.#takes(message, this.#limits.laneQueueBytesMax)) return false;
    this.#encoder.toFlow(message, flow, target);
    this.#schedule();
    return true;
  }

  /** False: it was dropped, and counted. */
  note(transaction: string, assignment: Assignment): boolean {
    if (!this.#takesSmall('link_note_drops', this.#limits.laneQueueNoteBytesMax)) return false;
    this.#encoder.note(transaction, assignment);
    this.#schedule();
    return true;
  }

  /** False as above. */
  ask(id: number, transaction: string, claim: Assignment | undefined): boolean {
    if (!this.#takesSmall('link_ask_drops', this.#limits.laneQueueAskBytesMax)) return false;
    this.#encoder.ask(id, transaction, claim);
    this.#schedule();
    return true;
  }

  /** False as above. */
  answer(id: number, assignment: Assignment | undefined): boolean {
    if (!this.#takesSmall('link_ask_drops', this.#limits.laneQueueAskBytesMax)) return false;
    this.#encoder.answer(id, assignment);
    this.#schedule();
    return true;
  }

  /** Queues a frame; its body bytes are read when the turn ends and must not change until then. */
  post(frame: HttpFrame | HelloFrame | GoodbyeFrame, bodyBytes = 0): void {
    if (this.#isClosed || this.#whenSent !== undefined) return;
    this.#frames.push(frame);
    this.grow(bodyBytes);
  }

  /** Notes that a waiting frame was given that many body bytes. */
  grow(bodyBytes: number): void {
    this.#frameBytes += bodyBytes;
    const { framesPerBatch, batchBytes } = this.#limits;
    if (this.#frames.length >= framesPerBatch || this.#frameBytes >= batchBytes) this.flush();
    else this.#schedule();
  }

  /** Writes what waits, unless the connection is behind. */
  flush(): void {
    if (this.#isClosed) return;
    if (this.#frames.length > 0 && this.#isBelow(this.#unsentBytes)) {
      const frames = this.#frames;
      this.#frames = [];
      this.#frameBytes = 0;
      this.#turn += 1;
      for (const frame of frames) this.#encoder.frame(frame);
    }
    this.#encoder.flush();
  }

  close(): void {
    this.#isClosed = true;
    this.#frames = [];
  }

  /** Takes nothing more; calls back, then closed, when all that waits was given to the call. */
  finish(sent: () => void): void {
    this.#whenSent = sent;
    this.flush();
    this.#closeWhenSent();
  }

  #closeWhenSent(): void {
    const sent = this.#whenSent;
    if (sent === undefined || this.#isClosed || this.#frames.length > 0) return;
    this.close();
    sent();
  }

  #isBelow(bytes: number): boolean {
    if (bytes < this.#limits.laneQueueBytesMax) return true;
    this.#wasCongested = true;
    return false;
  }

  #takes(message: Uint8Array, limit: number): boolean {
    if (message.length > this.#limits.sipMessageBytesMax) {
      this.#counters.count('link_sip_drops', 'too_large');
      return false;
    }
    if (this.queuedBytes + message.length > limit) {
      this.#counters.count('link_sip_drops', 'congested');
      return false;
    }
    return !this.#isClosed;
  }

  /** For frames of a few bytes, which are not worth to be measured before. */
  #takesSmall(name: string, limit: number): boolean {
    if (!this.#isClosed && this.queuedBytes < limit) return true;
    this.#counters.count(name, this.#isClosed ? 'not_up' : 'congested');
    return false;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#isScheduled = false;
    this.flush();
  };

  #write(batch: Buffer, frames: number): void {
    this.#counters.count('link_batches', 'sent');
    this.#counters.count('link_frames', 'sent', frames);
    this.#unsentBytes += batch.length;
    this.#stream.write(batch, () => {
      this.#unsentBytes -= batch.length;
      if (this.#wasCongested && this.queuedBytes < this.#limits.laneQueueBytesMax / 2) {
        this.#wasCongested = false;
        this.flush();
        this.#onWritable();
      } else if (this.#wasCongested && this.#unsentBytes === 0) {
        this.flush();
      }
      this.#closeWhenSent();
    });
  }
}

/** A request of something that runs already, rather than a new one: it is the last to be dropped. */
function continues(envelope: Envelope): boolean {
  switch (envelope.reason) {
    case 'flow':
    case 'stamp':
    case 'stamp-key':
    case 'memory':
      return true;
    case 'addressed':
    case 'rule':
    case 'plugin':
    case 'fallback':
    case 'round-robin':
      return false;
  }
}
