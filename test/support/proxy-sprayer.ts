import { once } from 'node:events';
import { connect, createServer, isIPv4, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

const host = '127.0.0.1';

/**
 * A sprayer in front of one peer that begins each connection with a PROXY header of version 2.
 *
 * @param target `host:port` of the peer's listener
 * @param source address that the header names as the client's
 * @returns `host:port` that clients use
 */
export async function startProxySprayer(
  t: TestContext,
  target: string,
  source: string,
): Promise<string> {
  const { hostname, port } = new URL(`http://${target}`);
  const open = new Set<Socket>();
  const keep = (socket: Socket, other: () => Socket): void => {
    open.add(socket);
    socket.on('error', () => other().destroy());
    socket.on('close', () => open.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const peer = connect({
      host: hostname,
      port: Number(port),
      allowHalfOpen: true,
      noDelay: true,
    });
    keep(client, () => peer);
    keep(peer, () => client);
    peer.write(proxyHeader(source));
    client.pipe(peer).pipe(client);
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return `${host}:${(server.address() as AddressInfo).port}`;
}

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const [versionAndCommand, tcp4, tcp6] = [0x21, 0x11, 0x21];
const ports = [0x9c, 0x40, 0x01, 0xbb];

/** Version 2, command PROXY, for TCP: from port 40000 of `source` to port 443 of an address of its family. */
function proxyHeader(source: string): Buffer {
  const family = isIPv4(source) ? tcp4 : tcp6;
  const from = isIPv4(source) ? source.split('.').map(Number) : ipv6Bytes(source);
  const addresses = [...from, ...from, ...ports];
  return Buffer.concat([
    signature,
    Buffer.from([versionAndCommand, family, 0, addresses.length, ...addresses]),
  ]);
}

/** Bytes of an IPv6 address with one `::`. */
function ipv6Bytes(address: string): number[] {
  const [begin = [], end = []] = address
    .split('::')
    .map((part) => part.split(':').map((group) => parseInt(group, 16)));
  const zeros = Array.from({ length: 8 - begin.length - end.length }, () => 0);
  return [...begin, ...zeros, ...end].flatMap((group) => [group >> 8, group & 0xff]);
}
