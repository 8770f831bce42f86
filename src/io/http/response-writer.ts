import {
  chunkLine,
  endToEndTrailers,
  type GatheredOutput,
  type HeaderBlock,
  type HeaderList,
  lastChunk,
  mayHaveBody,
  noBody,
  type ReceivedFraming,
  type ReceivedRequest,
  type ResponseHead,
  serializeResponseHead,
} from '../../http/index.ts';
import type { ClientWriter } from './client-writer.ts';

/** Writes the response of one HTTP/1 request in the framing that its client understands. */
export class ResponseWriter implements ClientWriter {
  isStarted = false;
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
    if (this.#request.version === '1.0') return;
    this.#output.text(serializeResponseHead(head, noBody, ''));
    this.#output.flush();
  }

  head(head: ResponseHead, cookies: HeaderBlock, date: string): void {
    const isTunnel = head.framing.kind === 'tunnel';
    const hasBody = isTunnel || mayHaveBody(head.status, this.#request.method);
    const framing = hasBody ? this.#framing(head) : this.#announced(head);
    if (isTunnel || (hasBody && framing.kind === 'close')) this.isPersistent = false;
    const dated = head.headers.get('date') === undefined ? `Date: ${date}\r\n` : '';
    const extra = `${cookies.text}${dated}${isTunnel ? '' : this.#connection()}`;
    this.#output.text(serializeResponseHead(head, framing, extra));
    this.isStarted = true;
    this.#body = hasBody ? framing : noBody;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
  }

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
      case 'tunnel':
        this.#output.bytes(chunk);
        return true;
    }
  }

  end(trailers: HeaderList): boolean {
    if (this.#body.kind === 'chunked') this.#output.text(lastChunk(endToEndTrailers(trailers)));
    return this.#body.kind !== 'length' || this.#left === 0;
  }

  #connection(): string {
    if (!this.isPersistent) return 'Connection: close\r\n';
    return this.#request.version === '1.0' ? 'Connection: keep-alive\r\n' : '';
  }

  #framing(head: ResponseHead): ReceivedFraming {
    switch (head.framing.kind) {
      case 'none':
        return { kind: 'length', bytes: 0 };
      case 'length':
      case 'tunnel':
        return head.framing;
      case 'chunked':
        return this.#request.version === '1.0' ? { kind: 'close' } : head.framing;
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
