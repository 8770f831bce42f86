import { createSocket, type RemoteInfo, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/**
 * One public port whose peers a test adds and takes away: what an operator's sprayer does by asking
 * `/readyz`. Every datagram or connection goes to the next peer.
 */
export interface Spray {
  /** `host:port` that clients use. */
  readonly address: string;
  /** `host:port` of a peer from now on gets its turn. */
  add(peer: string): void;
  remove(peer: string): void;
  /** Peer of the last datagram or connection. */
  readonly last: () => string | undefined;
}

class Turns {
  readonly #peers: string[] = [];
  last: string | undefined;
  #turn = 0;

  add(peer: string): void {
    this.#peers.push(peer);
  }

  remove(peer: string): void {
    const at = this.#peers.indexOf(peer);
    if (at >= 0) this.#peers.splice(at, 1);
  }

  next(): { host: string; port: number } | undefined {
    const peer = this.#peers[this.#turn++ % this.#peers.length];
    this.last = peer;
    if (peer === undefined) return undefined;
    const colon = peer.lastIndexOf(':');
    return { host: peer.slice(0, colon), port: Number(peer.slice(colon + 1)) };
  }
}

const host = '127.0.0.1';

/**
 * UDP, packet by packet; each client has a socket of its own towards the peers.
 *
 * @param sent told of each datagram and its peer
 */
export async function startDatagramSpray(
  t: TestContext,
  address: string = host,
  sent?: (datagram: Buffer, peer: string) => void,
): Promise<Spray> {
  const turns = new Turns();
  const clients = new Map<string, DatagramSocket>();
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  socket.bind(0, address);
  await once(socket, 'listening');
  socket.on('message', (datagram, from) => {
    const peer = turns.next();
    if (peer === undefined) return;
    sent?.(datagram, `${peer.host}:${peer.port}`);
    clientOf(from).send(datagram, peer.port, peer.host);
  });
  t.after(() => {
    socket.close();
    for (const client of clients.values()) client.close();
  });
  function clientOf({ address, port }: RemoteInfo): DatagramSocket {
    const key = `${address}:${port}`;
    const known = clients.get(key);
    if (known !== undefined) return known;
    const created = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    created.on('message', (answer) => {
      socket.send(answer, port, address);
    });
    clients.set(key, created);
    return created;
  }
  return shown(turns, address, socket.address().port);
}

/** TCP byte by byte, so TLS and WebSocket pass through untouched. */
export async function startStreamSpray(t: TestContext): Promise<Spray> {
  const turns = new Turns();
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const peer = turns.next();
    if (peer === undefined) {
      client.destroy();
      return;
    }
    const upstream = connect({ ...peer, allowHalfOpen: true, noDelay: true });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.end();
      });
    }
  }).listen(0, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return shown(turns, host, (server.address() as AddressInfo).port);
}

function shown(turns: Turns, address: string, port: number): Spray {
  return {
    address: `${address}:${port}`,
    add: (peer) => {
      turns.add(peer);
    },
    remove: (peer) => {
      turns.remove(peer);
    },
    last: () => turns.last,
  };
}
