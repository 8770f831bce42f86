import type { Socket as UdpSocket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';

/** A peer made of bare sockets on one free port of loopback (UDP and TCP) and one for HTTP. */
export class FakePeer {
  readonly name: string;
  readonly #serve: (name: string, socket: Socket) => void;
  readonly #sockets = new Set<Socket>();
  #udp: UdpSocket | undefined;
  #tcp: Server | undefined;
  #http: Server | undefined;
  sip = '';
  http = '';
  /** Source ports of the datagrams in order. */
  readonly sources: number[] = [];

  /** @param serve what it does with a TCP connection */
  constructor(name: string, serve: (name: string, socket: Socket) => void = echoName) {
    this.name = name;
    this.#serve = serve;
  }

  /** Answers datagrams with its name and what it got. */
  async start(port = 0): Promise<void> {
    this.#tcp = await this.#listen(port);
    const bound = (this.#tcp.address() as AddressInfo).port;
    this.sip = `127.0.0.1:${bound}`;
    const udp = createSocket('udp4').bind(bound, '127.0.0.1');
    await once(udp, 'listening');
    udp.on('message', (datagram, from) => {
      this.sources.push(from.port);
      udp.send(`${this.name} ${datagram.toString()}`, from.port, from.address);
    });
    this.#udp = udp;
    this.#http = await this.#listen(0);
    this.http = `127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  /** Sends to a client's translated address, as a peer does that answers for another. */
  send(text: string, port: number): void {
    this.#udp?.send(text, port, '127.0.0.1');
  }

  /** Ends as a killed process does: every socket at once. */
  async stop(): Promise<void> {
    const servers = [this.#tcp, this.#http].filter((server) => server !== undefined);
    const closed = servers.map((server) => once(server, 'close'));
    this.#udp?.close();
    for (const server of servers) server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#udp = this.#tcp = this.#http = undefined;
    await Promise.all(closed);
  }

  async #listen(port: number): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      this.#serve(this.name, socket);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }
}

/** Says its name when the other side has ended, and then what it got. */
function echoName(name: string, socket: Socket): void {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('end', () => socket.end(`${name} ${Buffer.concat(chunks).toString()}`));
}
