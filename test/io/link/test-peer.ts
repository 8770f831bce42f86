import { EventEmitter, once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import {
  HeaderBlock,
  type HeaderList,
  type RequestHead,
  type RequestReceiver,
  type ResetCode,
  type ResponseHead,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import { GrpcLinks } from '../../../src/io/link/index.ts';
import type { LinkOptions, LinkPeer } from '../../../src/io/link/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { Envelope } from '../../../src/pipeline/envelope.ts';
import type { SipTarget } from '../../../src/pipeline/sip-target.ts';
import type { Assignment } from '../../../src/sip/index.ts';

export const envelope: Envelope = {
  keyDigest: 'AbCdEfGhIjKlMnOpQrStUv',
  instance: 'b',
  reason: 'rule',
  ringVersion: 'f00d',
  ingressPeer: 'a',
  hop: 1,
  transaction: '',
};

export const getRequest: RequestHead = {
  method: 'GET',
  target: '/conference?ConferenceName=42',
  headers: HeaderBlock.of([['Host', 'example.org']]),
  framing: { kind: 'none' },
};

export const okResponse: ResponseHead = {
  status: 200,
  reason: 'OK',
  headers: HeaderBlock.of([['X-Served-By', 'b']]),
  framing: { kind: 'chunked' },
};

type Serve = (
  request: RequestHead,
  envelope: Envelope,
  response: ResponseReceiver,
) => RequestReceiver;

/** One peer's links with what it got; `until` waits for anything that happens to it. */
export class TestPeer {
  readonly name: string;
  readonly epoch: number;
  readonly counters: Counters = new Counters();
  readonly links: GrpcLinks;
  readonly requests: { text: string; envelope: Envelope }[] = [];
  readonly responses: string[] = [];
  readonly toApplication: string[] = [];
  readonly toFlow: { text: string; flow: string; target: SipTarget | undefined }[] = [];
  readonly notes: { transaction: string; assignment: Assignment }[] = [];
  readonly asked: { transaction: string; claim: Assignment | undefined }[] = [];
  readonly failed: string[] = [];
  readonly downReasons: string[] = [];
  /** How often a link came up. */
  ups = 0;
  serve: Serve = () => {
    throw new Error('no HTTP expected');
  };
  onSipRequest: (message: Buffer) => void = () => undefined;
  /** What the directory here knows. */
  onAsk: (transaction: string, claim: Assignment | undefined) => Assignment | undefined = () =>
    undefined;
  readonly #happened = new EventEmitter();

  constructor(name: string, options: Partial<LinkOptions> & { epoch?: number } = {}) {
    this.name = name;
    this.epoch = options.epoch ?? 1;
    const happened = (): void => {
      this.#happened.emit('event');
    };
    this.links = new GrpcLinks({
      self: { name, epoch: this.epoch },
      cluster: 'test',
      listen: { address: '127.0.0.1', port: 0 },
      counters: this.counters,
      log: {
        info: (details, text) => {
          if (text === 'link is down') this.#wentDown(details);
          else this.ups += 1;
          happened();
        },
        warn: (details) => {
          this.#wentDown(details);
          happened();
        },
        error: happened,
      },
      onPeerFailed: (peer) => this.failed.push(peer),
      ...options,
      handler: {
        sipRequest: (message, given) => {
          this.requests.push({ text: message.toString(), envelope: given });
          this.onSipRequest(message);
          happened();
        },
        sipResponse: (message) => {
          this.responses.push(message.toString());
          happened();
        },
        toApplication: (message) => {
          this.toApplication.push(message.toString());
          happened();
        },
        toFlow: (message, flow, target) => {
          this.toFlow.push({ text: message.toString(), flow, target });
          happened();
        },
        note: (transaction, assignment) => {
          this.notes.push({ transaction, assignment });
          happened();
        },
        ask: (transaction, claim) => {
          this.asked.push({ transaction, claim });
          happened();
          return this.onAsk(transaction, claim);
        },
        http: (request, given, response) => this.serve(request, given, response),
      },
    });
    this.#happened.setMaxListeners(50);
  }

  #wentDown(details: object): void {
    this.downReasons.push(String((details as { reason: unknown }).reason));
  }

  /** How others are told of this peer. */
  member(address = `127.0.0.1:${this.links.port}`): LinkPeer {
    return { name: this.name, epoch: this.epoch, address };
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await once(this.#happened, 'event');
  }

  async untilUp(peer: TestPeer): Promise<void> {
    await this.until(() => this.links.isUp(peer.name));
  }
}

/** Starts peers, tells each of all others, and waits until every link is up. */
export async function linked(...peers: TestPeer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.links.start()));
  for (const peer of peers) {
    peer.links.setPeers(peers.filter((other) => other !== peer).map((other) => other.member()));
  }
  for (const peer of peers) {
    for (const other of peers) if (other !== peer) await peer.untilUp(other);
  }
}

export async function stopAll(...peers: TestPeer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.links.stop(0)));
}

/** Own side of an exchange, at either end: it notes what comes. */
export class Recorder implements RequestReceiver, ResponseReceiver {
  readonly heads: ResponseHead[] = [];
  readonly chunks: Buffer[] = [];
  bytes = 0;
  trailers: HeaderList | undefined;
  code: ResetCode | undefined;
  isPaused = false;
  readonly #happened = new EventEmitter();

  head(head: ResponseHead): void {
    this.heads.push(head);
    this.#happened.emit('event');
  }
  data(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.chunks.push(Buffer.from(chunk));
    this.#happened.emit('event');
  }
  end(trailers: HeaderList): void {
    this.trailers = trailers;
    this.#happened.emit('event');
  }
  reset(code: ResetCode): void {
    this.code = code;
    this.#happened.emit('event');
  }
  pause(): void {
    this.isPaused = true;
    this.#happened.emit('event');
  }
  resume(): void {
    this.isPaused = false;
    this.#happened.emit('event');
  }
  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }
  async until(holds: (recorder: this) => boolean): Promise<void> {
    while (!holds(this)) await once(this.#happened, 'event');
  }
}

/** A TCP relay in front of a peer that can break or go silent. */
export class Cable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isFrozen = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Cable> {
    const server = createServer();
    const cable = new Cable(server);
    server.on('connection', (near) => {
      const far = connect(port, '127.0.0.1');
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        cable.#sockets.add(socket);
        if (!cable.#isFrozen) socket.on('data', (chunk) => other.write(chunk));
        socket.on('error', () => other.destroy());
        socket.on('close', () => other.destroy());
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return cable;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Breaks every connection and takes no more. */
  cut(): void {
    this.#server.close();
    this.break();
  }

  /** The same for the connections to come, which it still takes. */
  freeze(): void {
    this.#isFrozen = true;
    this.silence();
  }

  /** Carries nothing any more and tells nobody. */
  silence(): void {
    for (const socket of this.#sockets) socket.removeAllListeners('data').pause();
  }
}
