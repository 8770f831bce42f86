import assert from 'node:assert/strict';
import {
  HeaderBlock,
  type HeaderList,
  type RequestHead,
  type RequestReceiver,
  type ResetCode,
  type ResponseHead,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import { EmbeddedApplicationHost } from '../../../src/io/application/embedded.ts';
import type { CreateApplication } from '../../../src/io/application/module.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { Envelope } from '../../../src/pipeline/envelope.ts';
import { parseSipMessage, type SipMessage } from '../../../src/sip/index.ts';

export const envelope: Envelope = {
  keyDigest: 'AAAAAAAAAAAAAAAAAAAAAA',
  instance: 'a',
  reason: 'fallback',
  ringVersion: '1',
  ingressPeer: 'a',
  hop: 0,
  transaction: '',
};

/** Time that moves only when it is told to, for the host and for modules. */
export class VirtualTime {
  #now: number;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  constructor(start = 0) {
    this.#now = start;
  }

  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  schedule(at: number, callback: () => void): () => void {
    const timer = { at, callback };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(({ at }) => at <= end)
        .toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) {
        this.#now = end;
        return;
      }
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
  }
}

export interface SipRequestParts {
  readonly user?: string;
  readonly requestUri?: string;
  readonly branch?: string;
  readonly callId?: string;
  readonly fromTag?: string;
  readonly toTag?: string | undefined;
  readonly cseq?: number;
  readonly headers?: readonly string[];
  readonly body?: string;
}

let branches = 0;

/** A request as the ingress peer hands it on: its own Via on top, then the client's. */
export function sipRequest(method: string, parts: SipRequestParts = {}): Buffer {
  const { user = '42', callId = 'call@client', fromTag = 'caller', cseq = 1, body = '' } = parts;
  const { requestUri = `sip:${user}@cluster.example.com:5060` } = parts;
  const branch = parts.branch ?? `z9hG4bK${++branches}`;
  return Buffer.from(
    [
      `${method} ${requestUri} SIP/2.0`,
      `Via: SIP/2.0/UDP cluster.example.com:5060;branch=${branch};peer=a`,
      'v: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKclient;received=198.51.100.7, SIP/2.0/TCP inner',
      'Record-Route: <sip:cluster.example.com;lr;bekey=k>',
      `From: "Ann \\"A\\"" <sip:ann@example.com>;tag=${fromTag}`,
      `To: <sip:${user}@example.com>${parts.toTag === undefined ? '' : `;tag=${parts.toTag}`}`,
      `Call-ID: ${callId}`,
      `CSeq: ${cseq} ${method}`,
      ...(parts.headers ?? []),
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  );
}

/** What the client side of one HTTP exchange saw. */
export class HttpClient implements ResponseReceiver {
  readonly heads: ResponseHead[] = [];
  readonly chunks: Buffer[] = [];
  readonly calls: string[] = [];
  resetCode: ResetCode | undefined;
  onData: (() => void) | undefined;
  #settle: (() => void) | undefined;
  /** Ends with the response or its reset. */
  readonly over: Promise<void>;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get status(): number | undefined {
    return this.heads.at(-1)?.status;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  header(name: string): string | undefined {
    return this.heads.at(-1)?.headers.get(name.toLowerCase());
  }

  head(head: ResponseHead): void {
    this.calls.push('head');
    this.heads.push(head);
  }

  data(chunk: Uint8Array): void {
    this.calls.push('data');
    this.chunks.push(Buffer.from(chunk));
    this.onData?.();
  }

  end(trailers: HeaderList): void {
    assert.deepEqual(trailers, []);
    this.calls.push('end');
    this.#settle?.();
  }

  reset(code: ResetCode): void {
    this.calls.push('reset');
    this.resetCode = code;
    this.#settle?.();
  }

  pause(): void {
    this.calls.push('pause');
  }

  resume(): void {
    this.calls.push('resume');
  }
}

/** A host on virtual time whose responses are collected. */
export class HostBench {
  readonly time: VirtualTime = new VirtualTime();
  readonly counters: Counters = new Counters();
  readonly logs: string[] = [];
  readonly bytes: Buffer[] = [];
  readonly host: EmbeddedApplicationHost;

  constructor(module: string | CreateApplication) {
    let tags = 0;
    this.host = new EmbeddedApplicationHost({
      instance: 'a',
      module,
      counters: this.counters,
      log: (level, message) => this.logs.push(`${level}: ${message}`),
      clock: this.time,
      schedule: (at, callback) => this.time.schedule(at, callback),
      newTag: () => `host${++tags}`,
      outlet: { sipResponse: (message) => this.bytes.push(message) },
    });
  }

  /** Delivers a request and gives what has been answered since the last call. */
  send(method: string, parts: SipRequestParts = {}): SipMessage[] {
    assert.equal(this.host.deliverSip(sipRequest(method, parts)), true);
    return this.responses();
  }

  advance(ms: number): SipMessage[] {
    this.time.advance(ms);
    return this.responses();
  }

  responses(): SipMessage[] {
    return this.bytes.splice(0).map((bytes) => {
      const parsed = parseSipMessage(bytes);
      assert.ok(parsed.ok);
      return parsed.message;
    });
  }

  /** Begins an exchange; the body is the caller's to send. */
  open(
    method: string,
    target: string,
    headers: HeaderList = [],
  ): { client: HttpClient; sender: RequestReceiver } {
    const client = new HttpClient();
    const request: RequestHead = {
      method,
      target,
      headers: HeaderBlock.of(headers),
      framing: { kind: 'none' },
    };
    return { client, sender: this.host.serveHttp(request, envelope, client) };
  }

  /** A whole exchange without request body. */
  async fetch(target: string, headers: HeaderList = [], method = 'GET'): Promise<HttpClient> {
    const { client, sender } = this.open(method, target, headers);
    sender.end([]);
    await client.over;
    return client;
  }
}

export function statuses(messages: readonly SipMessage[]): number[] {
  return messages.map(({ status }) => status);
}
