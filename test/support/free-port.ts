import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

const address = '127.0.0.1';

/**
 * Below the ports that the system gives out by itself, so that nobody gets one by chance between its
 * choice here and its use, and above those of the clusters of `cluster.ts`. Each process begins elsewhere.
 */
const first = 27_100;
const count = 5_600;
let turn = process.pid * 61;

/** A port of loopback that nobody has at the moment; each is given once. */
export function freeUdpPort(): Promise<number> {
  return freePort([isFreeForUdp]);
}

export function freeTcpPort(): Promise<number> {
  return freePort([isFreeForTcp]);
}

/** Ports that are free for UDP and TCP, all different. */
export async function freeSipPorts(wanted: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < wanted) ports.push(await freePort([isFreeForUdp, isFreeForTcp]));
  return ports;
}

async function freePort(checks: readonly ((port: number) => Promise<boolean>)[]): Promise<number> {
  for (let tries = 0; tries < count; tries++) {
    const port = first + (turn++ % count);
    const answers = await Promise.all(checks.map((isFree) => isFree(port)));
    if (answers.every(Boolean)) return port;
  }
  throw new Error('no port is free');
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  socket.bind(port, address);
  const isFree = await once(socket, 'listening').then(
    () => true,
    () => false,
  );
  socket.close();
  await once(socket, 'close');
  return isFree;
}

async function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer().listen(port, address);
  const isFree = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (!isFree) return false;
  server.close();
  await once(server, 'close');
  return true;
}
