import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';

/** A final response. */
export interface Answer {
  readonly status: number;
  /** Values of a header in their order; commas are not looked at. */
  readonly headers: (name: string) => string[];
}

/** A dialog that an INVITE made. */
export interface Call {
  readonly callId: string;
  readonly from: string;
  readonly to: string;
  /** Request-URI of later requests. */
  readonly target: string;
  readonly routes: readonly string[];
  /** Instance that answered the INVITE. */
  readonly instance: string;
  cseq: number;
}

/** How a caller's messages leave: `to` is `host:port` where the wire can choose. */
interface Wire {
  readonly transport: 'UDP' | 'TLS';
  readonly local: string;
  readonly send: (text: string, to: string | undefined) => void;
}

/** Longest wait for an answer. Nothing is sent again, so every answer proves that nothing was lost. */
const patienceMs = 10_000;

/** A user agent of a few lines: it makes calls, sends requests within them, and retransmits nothing. */
export class SipCaller {
  readonly #wire: Wire;
  readonly #waiting = new Map<string, (answer: Answer) => void>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** Takes a whole message of the other side. */
  receive(text: string): void {
    const status = Number(/^SIP\/2\.0 (\d{3})/.exec(text)?.[1] ?? 0);
    const branch = /^Via:.*?;branch=([^;,\s]+)/im.exec(text)?.[1] ?? '';
    if (status < 200) return;
    const headers = (name: string): string[] =>
      [...text.matchAll(new RegExp(`^${name}:\\s*(.*?)\\r?$`, 'gim'))].map(([, value]) => value!);
    this.#waiting.get(branch)?.({ status, headers });
  }

  /** Makes a call and acknowledges its answer. */
  async call(user: string, to?: string): Promise<Call> {
    const { local, transport } = this.#wire;
    const callId = randomBytes(8).toString('hex');
    const request = `sip:${user}@example.test`;
    const from = `<sip:caller@${local}>;tag=${randomBytes(4).toString('hex')}`;
    const first = { callId, from, to: `<${request}>`, target: request, routes: [], cseq: 1 };
    const answer = await this.#exchange('INVITE', { ...first, instance: '' }, to);
    if (answer.status !== 200) throw new Error(`INVITE ${answer.status} over ${transport}`);
    const call = {
      ...first,
      to: answer.headers('To')[0] ?? '',
      target: /<([^>]+)>/.exec(answer.headers('Contact')[0] ?? '')?.[1] ?? '',
      routes: answer.headers('Record-Route').toReversed(),
      instance: answer.headers('X-Served-By')[0] ?? '',
    };
    this.#send('ACK', call, to);
    return call;
  }

  /** Sends a request within a call; a re-INVITE is acknowledged when it was accepted. */
  async within(call: Call, method: string, to?: string): Promise<Answer> {
    call.cseq++;
    const answer = await this.#exchange(method, call, to);
    if (method === 'INVITE' && answer.status === 200) this.#send('ACK', call, to);
    return answer;
  }

  async #exchange(method: string, call: Call, to: string | undefined): Promise<Answer> {
    const branch = this.#send(method, call, to);
    const answer = await new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no answer to ${method} of ${call.callId}`));
      }, patienceMs);
      this.#waiting.set(branch, (received) => {
        clearTimeout(timer);
        resolve(received);
      });
    });
    this.#waiting.delete(branch);
    // An ACK to a failure belongs to the INVITE's transaction (RFC 3261 section 17.1.1.3).
    if (method === 'INVITE' && answer.status >= 300)
      this.#send('ACK', { ...call, to: answer.headers('To')[0] ?? call.to }, to, branch);
    return answer;
  }

  #send(method: string, call: Call, to: string | undefined, known?: string): string {
    const { transport, local, send } = this.#wire;
    const branch = known ?? `z9hG4bK${randomBytes(8).toString('hex')}`;
    const lines = [
      `${method} ${call.target} SIP/2.0`,
      `Via: SIP/2.0/${transport} ${local};branch=${branch};rport`,
      ...call.routes.map((route) => `Route: ${route}`),
      `From: ${call.from}`,
      `To: ${call.to}`,
      `Call-ID: ${call.callId}`,
      `CSeq: ${call.cseq} ${method}`,
      `Contact: <sip:caller@${local};transport=${transport.toLowerCase()}>`,
      'Max-Forwards: 70',
      'Content-Length: 0',
    ];
    send(`${lines.join('\r\n')}\r\n\r\n`, to);
    return branch;
  }
}

/** A caller with a UDP socket of its own; every request names where it goes. */
export async function openUdpCaller(t: TestContext): Promise<SipCaller> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => {
    socket.close();
  });
  const caller = new SipCaller({
    transport: 'UDP',
    local: `127.0.0.1:${socket.address().port}`,
    send: (text, to = '') => {
      const [host = '', port = ''] = to.split(':');
      socket.send(text, Number(port), host);
    },
  });
  socket.on('message', (message) => {
    caller.receive(message.toString('latin1'));
  });
  return caller;
}

export interface TlsCaller {
  readonly caller: SipCaller;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: string;
  /** Whether the connection has ended, by whomever. */
  readonly isClosed: () => boolean;
  readonly close: () => void;
}

/** A caller with a TLS connection to `host:port`, whoever signed the certificate there. */
export async function openTlsCaller(t: TestContext, address: string): Promise<TlsCaller> {
  const [host = '', port = ''] = address.split(':');
  const socket: TLSSocket = connect({ host, port: Number(port), rejectUnauthorized: false });
  let isClosed = false;
  socket.on('error', () => {
    isClosed = true;
  });
  socket.on('close', () => {
    isClosed = true;
  });
  t.after(() => socket.destroy());
  await once(socket, 'secureConnect');
  const caller = new SipCaller({
    transport: 'TLS',
    local: `127.0.0.1:${socket.localPort}`,
    send: (text) => socket.write(text),
  });
  let pending = '';
  socket.on('data', (chunk: Buffer) => {
    const { messages, rest } = cut(pending + chunk.toString('latin1'));
    pending = rest;
    for (const message of messages) caller.receive(message);
  });
  return {
    caller,
    fingerprint: socket.getPeerX509Certificate()?.fingerprint256 ?? '',
    isClosed: () => isClosed,
    close: () => socket.destroy(),
  };
}

/** Whole messages of a stream, by Content-Length. */
function cut(text: string): { messages: string[]; rest: string } {
  const messages: string[] = [];
  let rest = text.replace(/^(\r\n)+/, '');
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { messages, rest };
    const body = Number(/^(?:Content-Length|l)\s*:\s*(\d+)/im.exec(rest.slice(0, end))?.[1] ?? 0);
    const length = end + 4 + body;
    if (rest.length < length) return { messages, rest };
    messages.push(rest.slice(0, length));
    rest = rest.slice(length).replace(/^(\r\n)+/, '');
  }
}
