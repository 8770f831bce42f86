import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { WantedPort } from './cluster-ports.ts';

/** The first wanted port on `address` that something else holds, by trying to bind each. */
export async function findOccupied(
  wanted: readonly WantedPort[],
  address: string,
): Promise<WantedPort | undefined> {
  const checked = await Promise.all(
    wanted.map(async (one) => {
      const free = await Promise.all(
        one.transports.map((transport) => isFree(transport, address, one.port)),
      );
      return free.every(Boolean) ? undefined : one;
    }),
  );
  return checked.find((one) => one !== undefined);
}

async function isFree(transport: 'udp' | 'tcp', address: string, port: number): Promise<boolean> {
  const socket =
    transport === 'udp'
      ? createSocket('udp4').bind(port, address)
      : createServer().listen(port, address);
  try {
    await once(socket, 'listening');
  } catch {
    // Whatever the reason, a peer could not listen there either.
    return false;
  }
  const closed = once(socket, 'close');
  socket.close();
  await closed;
  return true;
}
