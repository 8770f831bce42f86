/** What edits need of a message: {@link SipMessage} has it. */
export interface Editable {
  readonly bytes: Buffer;
  /** The beginning of `bytes`, one character a byte. */
  readonly text: string;
  /** Edits stay before this offset. */
  readonly bodyStart: number;
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Changes to a message's head, recorded against its original offsets and applied in one copy. Ranges
 * must not overlap; insertions at one place keep the order in which they were recorded.
 */
export class Edits {
  readonly #message: Editable;
  /** Sorted by start. Texts are latin1: bytes one to one as characters. */
  readonly #splices: Splice[] = [];

  constructor(message: Editable) {
    this.#message = message;
  }

  /** Replaces `start`..`end` by latin1 text; equal offsets insert, empty text removes. */
  replace(start: number, end: number, text: string): void {
    const splices = this.#splices;
    const splice = { start, end, text };
    let at = splices.length;
    while (at > 0 && splices[at - 1]!.start > start) at--;
    if (at === splices.length) splices.push(splice);
    else splices.splice(at, 0, splice);
  }

  insert(at: number, text: string): void {
    this.replace(at, at, text);
  }

  remove(start: number, end: number): void {
    this.replace(start, end, '');
  }

  /** The edited message; its head is joined as text, so that it costs one write. */
  toBuffer(): Buffer {
    const { bytes, text, bodyStart } = this.#message;
    let head = '';
    let read = 0;
    for (const splice of this.#splices) {
      head += text.slice(read, splice.start) + splice.text;
      read = splice.end;
    }
    head += text.slice(read, bodyStart);
    const result = Buffer.allocUnsafe(head.length + bytes.length - bodyStart);
    result.write(head, 0, 'latin1');
    if (bytes.length > bodyStart) bytes.copy(result, head.length, bodyStart);
    return result;
  }
}
