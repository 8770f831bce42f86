import {
  chunkLine,
  endToEndTrailers,
  type Field,
  type GatheredOutput,
  type HeaderList,
  headerValue,
  lastChunk,
  mayHaveBody,
  noBody,
  type ReceivedFraming,
  type ReceivedRequest,
  type ResponseHead,
  serializeResponseHead,
} from '../../http/index.ts';

/** Writes the response of one request in the framing that its client understands. */
export class ResponseWriter {
  /** The final head is written. */
  isStarted = false;
  /** The connection may serve another request behind this response. */
  isPersistent: boolean;
  readonly #output: GatheredOutput;
  readonly #request: ReceivedRequest;
  #body: ReceivedFraming = noBody;
  #left = 0;

  constructor(output: GatheredOutput, request: ReceivedRequest) {
    this.#output = output;
    this.#request = request;
    this.isPersistent = request.isPersistent;
  }

  /** A 1xx head; HTTP/1.0 clients do not know them (RFC 9110 section 15.2). */
  interim(head: ResponseHead): void {
    if (this.#request.minorVersion === 0) return;
    this.#output.text(serializeResponseHead(head, noBody, []));
    this.#output.flush();
  }

  /**
   * The final head. Throws when it cannot be written; then nothing was.
   *
   * @param date used where the head has none (RFC 9110 section 6.6.1)
   */
  head(head: ResponseHead, cookies: HeaderList, date: string): void {
    const hasBody = mayHaveBody(head.status, this.#request.method);
    const framing = hasBody ? this.#framing(head) : this.#announced(head);
    if (hasBody && framing.kind === 'close') this.isPersistent = false;
    const extra: Field[] = [...cookies];
    if (headerValue(head.headers, 'date') === undefined) extra.push(['Date', date]);
    if (!this.isPersistent) extra.push(['Connection', 'close']);
    else if (this.#request.minorVersion === 0) extra.push(['Connection', 'keep-alive']);
    this.#output.text(serializeResponseHead(head, framing, extra));
    this.isStarted = true;
    this.#body = hasBody ? framing : noBody;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
  }

  /** @returns false: more than the head announced; what was written so far cannot be taken back */
  data(chunk: Uint8Array): boolean {
    switch (this.#body.kind) {
      case 'none':
        return true;
      case 'length':
        if (chunk.length > this.#left) return false;
        this.#left -= chunk.length;
        this.#output.bytes(chunk);
        return true;
      case 'chunked':
        if (chunk.length === 0) return true;
        this.#output.text(chunkLine(chunk.length));
        this.#output.bytes(chunk);
        this.#output.text('\r\n');
        return true;
      case 'close':
        this.#output.bytes(chunk);
        return true;
    }
  }

  /** @returns false: less than the head announced, the connection must break */
  end(trailers: HeaderList): boolean {
    if (this.#body.kind === 'chunked') this.#output.text(lastChunk(endToEndTrailers(trailers)));
    return this.#body.kind !== 'length' || this.#left === 0;
  }

  #framing(head: ResponseHead): ReceivedFraming {
    switch (head.framing.kind) {
      case 'none':
        return { kind: 'length', bytes: 0 };
      case 'length':
        return head.framing;
      case 'chunked':
        return this.#request.minorVersion === 0 ? { kind: 'close' } : head.framing;
    }
  }

  /** What a response without body may say of the body it stands for (RFC 9110 section 8.6). */
  #announced(head: ResponseHead): ReceivedFraming {
    if (this.#request.method === 'HEAD' && head.framing.kind === 'chunked') {
      return this.#framing(head);
    }
    const mayAnnounce = head.status >= 200 && head.status !== 204;
    return mayAnnounce && head.framing.kind === 'length' ? head.framing : noBody;
  }
}
