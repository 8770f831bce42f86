/**
 * The least that a SIP balancer on Node can do: one datagram in, five fields found, a hash, the same
 * datagram out on a connected socket. It keeps no rules, stamps, limits or counts; a peer is measured
 * against it to see what those cost.
 *
 * Usage: udp-forwarder.ts PORT SINK_PORT...
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';

const [listenPort, ...sinkPorts] = process.argv.slice(2).map(Number);
const fields = ['\r\nVia: ', '\r\nFrom: ', '\r\nTo: ', '\r\nCSeq: '].map((name) =>
  Buffer.from(name),
);
const callIdName = Buffer.from('\r\nCall-ID: ');
const lineEnd = Buffer.from('\r\n');

const outside = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
let caller: { readonly port: number; readonly address: string } | undefined;

async function connect(port: number): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('message', (answer) => {
    if (caller !== undefined) outside.send(answer, caller.port, caller.address);
  });
  return socket;
}

const sinks = await Promise.all(sinkPorts.map((port) => connect(port)));

/** FNV-1a over the Call-ID; the four other fields are found and left. */
function digest(message: Buffer): number {
  let found = 0;
  for (const field of fields) found += message.indexOf(field) > 0 ? 1 : 0;
  const from = message.indexOf(callIdName) + callIdName.length;
  const to = message.indexOf(lineEnd, from);
  let hash = found === fields.length ? 0x811c9dc5 : 0;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ message[at]!, 0x01000193);
  return hash >>> 0;
}

outside.on('message', (message, from) => {
  caller = from;
  sinks[digest(message) % sinks.length]!.send(message);
});
outside.bind(listenPort, '127.0.0.1', () => {
  console.log('ready');
});
