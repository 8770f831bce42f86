/**
 * Throughput of one link: two processes, 600-byte SIP frames one way, so many per turn of the event
 * loop. Prints frames/s and microseconds of CPU a frame at each side.
 *
 * node bench/link.ts [seconds] [frames per turn]
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { GrpcLinks } from '../src/io/link/index.ts';
import type { Envelope } from '../src/pipeline/envelope.ts';
import { Counters } from '../src/pipeline/counters.ts';

const messageBytes = 600;
const messages: Buffer[] = Array.from({ length: 256 }, (_, index) =>
  Buffer.alloc(messageBytes, 97 + (index % 26)),
);
const envelope: Envelope = {
  keyDigest: 'AbCdEfGhIjKlMnOpQrStUv',
  instance: 'receiver',
  reason: 'rule',
  ringVersion: '0123456789abcdef',
  ingressPeer: 'sender',
  hop: 1,
  transaction: '',
};

interface Report {
  readonly frames: number;
  readonly cpuUs: number;
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

function links(name: string, onMessage: () => void): GrpcLinks {
  return new GrpcLinks({
    self: { name, epoch: 1 },
    cluster: 'bench',
    listen: { address: '127.0.0.1', port: 0 },
    counters: new Counters(),
    log: silent,
    handler: {
      sipRequest: onMessage,
      sipResponse: onMessage,
      toApplication: onMessage,
      toFlow: onMessage,
      note: () => undefined,
      ask: () => undefined,
      http: () => {
        throw new Error('no HTTP here');
      },
    },
  });
}

async function receive(): Promise<void> {
  let frames = 0;
  const link = links('receiver', () => {
    frames += 1;
  });
  await link.start();
  process.send!({ port: link.port });
  let cpuStart = process.cpuUsage();
  process.on('message', (order: { senderPort?: number; kind?: 'begin' | 'end' }) => {
    if (order.senderPort !== undefined) {
      link.setPeers([{ name: 'sender', epoch: 1, address: `127.0.0.1:${order.senderPort}` }]);
    } else if (order.kind === 'begin') {
      frames = 0;
      cpuStart = process.cpuUsage();
    } else {
      const cpu = process.cpuUsage(cpuStart);
      process.send!({ frames, cpuUs: cpu.user + cpu.system } satisfies Report);
    }
  });
}

async function answer<T>(child: ChildProcess): Promise<T> {
  const [message] = (await once(child, 'message')) as [T];
  return message;
}

/** Sends until the time is over; a link that is behind gets a pause, so that waiting costs no CPU. */
async function sendFor(link: GrpcLinks, ms: number, perTurn: number): Promise<number> {
  const endMs = performance.now() + ms;
  let sent = 0;
  while (performance.now() < endMs) {
    let isBehind = false;
    for (let index = 0; index < perTurn && !isBehind; index++) {
      isBehind = !link.sendSipRequest('receiver', messages[sent & 255]!, envelope);
      if (!isBehind) sent += 1;
    }
    await new Promise((resolve) => (isBehind ? setTimeout(resolve, 1) : setImmediate(resolve)));
  }
  return sent;
}

async function main(seconds: number, perTurn: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['receive']);
  const { port } = await answer<{ port: number }>(child);
  const link = links('sender', () => undefined);
  await link.start();
  child.send({ senderPort: link.port });
  link.setPeers([{ name: 'receiver', epoch: 1, address: `127.0.0.1:${port}` }]);
  while (!link.isUp('receiver')) await new Promise((resolve) => setTimeout(resolve, 20));
  await sendFor(link, 1_000, perTurn);
  child.send({ kind: 'begin' });
  const cpuStart = process.cpuUsage();
  const start = performance.now();
  const sent = await sendFor(link, seconds * 1_000, perTurn);
  const elapsed = performance.now() - start;
  const cpu = process.cpuUsage(cpuStart);
  const report = answer<Report>(child);
  child.send({ kind: 'end' });
  const received = await report;
  const perFrame = (us: number, frames: number): string => (us / frames).toFixed(2);
  console.log(
    `${perTurn} frames a turn: ${Math.round((received.frames / elapsed) * 1_000)} frames/s, ` +
      `sender ${perFrame(cpu.user + cpu.system, sent)} us, ` +
      `receiver ${perFrame(received.cpuUs, received.frames)} us of CPU a frame`,
  );
  child.kill();
  process.exit(0);
}

if (argv[2] === 'receive') await receive();
else await main(Number(argv[2] ?? 4), Number(argv[3] ?? 64));
