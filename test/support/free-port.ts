import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** Ports of loopback that nobody has at the moment. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

export async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Ports that are free for UDP and TCP, all different. */
export async function freeSipPorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  const closers: (() => Promise<unknown>)[] = [];
  while (ports.length < count) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = createSocket('udp4');
    socket.bind(port, '127.0.0.1');
    const isFree = await once(socket, 'listening').then(
      () => true,
      () => false,
    );
    if (isFree) ports.push(port);
    closers.push(
      () => once(server.close(), 'close'),
      () => once(socket.close(), 'close'),
    );
  }
  await Promise.all(closers.map((close) => close()));
  return ports;
}
