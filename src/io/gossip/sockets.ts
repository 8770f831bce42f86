import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server } from 'node:net';
import { gossipLimits } from '../../config/defaults.ts';

/** One port open for packets and for streams. */
export interface GossipSockets {
  readonly packets: Socket;
  readonly streams: Server;
  readonly port: number;
  /** True for both families too. */
  readonly isIPv6: boolean;
}

/**
 * Binds UDP and TCP to the same port; with port 0 to one that is free for both. Rejects with a plain
 * sentence when the port is taken or the address is not of this machine.
 */
export async function bindGossipSockets(address: string, port: number): Promise<GossipSockets> {
  for (let attempt = 1; ; attempt++) {
    const streams = await listen(address, port);
    const bound = boundPort(streams);
    try {
      const packets = await bind(address, bound);
      return { streams, packets, port: bound, isIPv6: isIPv6(address) };
    } catch (error) {
      streams.close();
      const isWorthAnother = port === 0 && isCode(error, 'EADDRINUSE');
      if (!isWorthAnother || attempt >= gossipLimits.portAttempts) {
        throw explained(error, 'UDP', address, bound);
      }
    }
  }
}

async function listen(address: string, port: number): Promise<Server> {
  // The other side may end its half while our answer is still to be written.
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen({ host: address, port, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw explained(error, 'TCP', address, port);
  }
  return server;
}

async function bind(address: string, port: number): Promise<Socket> {
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    recvBufferSize: gossipLimits.receiveBufferBytes,
  });
  socket.bind({ address, port, exclusive: true });
  try {
    await once(socket, 'listening');
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

function boundPort(server: Server): number {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the gossip port is not bound');
  return bound.port;
}

function explained(error: unknown, transport: string, address: string, port: number): Error {
  const place = `${isIPv6(address) ? `[${address}]` : address}:${port}`;
  const reason = isCode(error, 'EADDRINUSE')
    ? 'the port is in use'
    : isCode(error, 'EADDRNOTAVAIL')
      ? 'this machine has no such address'
      : String(error instanceof Error ? error.message : error);
  return new Error(`cannot open gossip on ${place} (${transport}): ${reason}`, { cause: error });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
