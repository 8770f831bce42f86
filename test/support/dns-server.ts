import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket as Stream } from 'node:net';
import type { TestContext } from 'node:test';
import dnsPacket, { type Packet } from 'dns-packet';
import { freeSipPorts } from './free-port.ts';

const address = '127.0.0.1';
/** What every resolver takes over UDP (RFC 1035 section 4.2.1). */
const udpBytesMax = 512;
/** RFC 1035 section 4.1.1 and RFC 2136: the name is not there; the server refuses. */
const [nameError, refused] = [3, 5];

type Answers = NonNullable<Packet['answers']>;

/** A DNS server on loopback over UDP and TCP, whose records the test writes. */
export class DnsServer {
  readonly #port: number;
  readonly #records = new Map<string, Answers>();
  readonly #streams = new Set<Stream>();
  #udp: Socket | undefined;
  #tcp: Server | undefined;
  /** It reads questions and answers none. */
  isSilent = false;
  /** It answers that it will not. */
  isRefusing = false;

  private constructor(port: number) {
    this.#port = port;
  }

  /** One that does not run yet. */
  static async create(t: TestContext): Promise<DnsServer> {
    const [port = 0] = await freeSipPorts(1);
    const server = new DnsServer(port);
    t.after(() => server.stop());
    return server;
  }

  static async start(t: TestContext): Promise<DnsServer> {
    const server = await DnsServer.create(t);
    await server.start();
    return server;
  }

  get address(): string {
    return `${address}:${this.#port}`;
  }

  addresses(name: string, type: 'A' | 'AAAA', addresses: readonly string[]): void {
    const answers = addresses.map((data) => ({ type, name, ttl: 0, data }));
    this.#records.set(`${type} ${name}`, answers);
  }

  targets(
    name: string,
    targets: readonly { readonly target: string; readonly port: number }[],
  ): void {
    const answers = targets.map((data) => ({ type: 'SRV' as const, name, ttl: 0, data }));
    this.#records.set(`SRV ${name}`, answers);
  }

  async start(): Promise<void> {
    const udp = createSocket('udp4');
    udp.on('message', (bytes, from) => {
      const reply = this.#reply(bytes);
      if (reply === undefined) return;
      const whole = dnsPacket.encode(reply);
      const cut = { ...reply, answers: [], flags: dnsPacket.TRUNCATED_RESPONSE };
      const sent = whole.length > udpBytesMax ? dnsPacket.encode(cut) : whole;
      udp.send(sent, from.port, from.address);
    });
    udp.bind(this.#port, address);
    const tcp = createServer((stream) => {
      this.#serve(stream);
    });
    tcp.listen(this.#port, address);
    await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
    this.#udp = udp;
    this.#tcp = tcp;
  }

  async stop(): Promise<void> {
    const [udp, tcp] = [this.#udp, this.#tcp];
    this.#udp = undefined;
    this.#tcp = undefined;
    for (const stream of this.#streams) stream.destroy();
    if (udp === undefined || tcp === undefined) return;
    const closed = Promise.all([once(udp, 'close'), once(tcp, 'close')]);
    udp.close();
    tcp.close();
    await closed;
  }

  #serve(stream: Stream): void {
    this.#streams.add(stream);
    stream.on('close', () => this.#streams.delete(stream));
    stream.on('error', () => stream.destroy());
    let received = Buffer.alloc(0);
    stream.on('data', (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const reply = this.#reply(received.subarray(2, end));
        received = received.subarray(end);
        if (reply !== undefined) stream.write(dnsPacket.streamEncode(reply));
      }
    });
  }

  #reply(bytes: Buffer): Packet | undefined {
    if (this.isSilent) return undefined;
    const { id, questions } = dnsPacket.decode(bytes);
    const { name = '', type = '' } = questions?.[0] ?? {};
    const shared = { type: 'response', id, questions } as const;
    if (this.isRefusing) return { ...shared, flags: refused };
    const answers = this.#records.get(`${type} ${name.toLowerCase()}`);
    const isKnown = [...this.#records.keys()].some((key) => key.endsWith(` ${name.toLowerCase()}`));
    return { ...shared, answers: answers ?? [], flags: isKnown ? 0 : nameError };
  }
}
