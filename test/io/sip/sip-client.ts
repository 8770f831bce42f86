import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect as connectTcp, isIPv6, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { SipListenerConfig } from '../../../src/config/config.ts';
import { Inbox } from './sip-rig.ts';

export type Transport = SipListenerConfig['transport'];

/** A client of any transport. */
export interface SipClient {
  readonly address: string;
  readonly port: number;
  /** What came, datagram by datagram, frame by frame, or as the stream gave it. */
  readonly inbox: Inbox<string>;
  /** Settles when the connection is closed, with the code of a WebSocket. */
  readonly closed: Promise<number | undefined>;
  /** Sends bytes: a datagram, a frame or a piece of a stream. */
  send(bytes: Buffer | string): void;
  /** The same for several at once, of a stream or WebSocket in as few packets as it takes. */
  sendTogether(parts: readonly string[]): void;
  /** Reads until so much has come. */
  read(length: number): Promise<string>;
  /** Takes nothing more from the connection. */
  pause(): void;
  resume(): void;
  /** Drops the connection. */
  destroy(): void;
}

export interface ClientOptions {
  readonly transport: Transport;
  readonly address: string;
  readonly port: number;
  /** Authority that it believes. */
  readonly ca?: Buffer;
}

/** Connects and waits until the connection stands; it goes with the test. */
export async function sipClient(t: TestContext, options: ClientOptions): Promise<SipClient> {
  const client = await connect(options);
  t.after(() => {
    client.destroy();
  });
  return client;
}

function connect(options: ClientOptions): Promise<SipClient> {
  switch (options.transport) {
    case 'udp':
      return datagrams(options);
    case 'tcp':
    case 'tls':
      return stream(options);
    case 'ws':
    case 'wss':
      return webSocket(options);
  }
}

async function reading(inbox: Inbox<string>, length: number): Promise<string> {
  let text = '';
  while (text.length < length) text += await inbox.take();
  return text;
}

async function datagrams({ address, port }: ClientOptions): Promise<SipClient> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  const inbox = new Inbox<string>();
  socket.on('message', (message) => inbox.put(message.toString('latin1')));
  const closed = new Promise<undefined>((resolve) => {
    socket.once('close', () => resolve(undefined));
  });
  socket.bind(0, address);
  await once(socket, 'listening');
  let isOpen = true;
  return {
    address,
    port: socket.address().port,
    inbox,
    closed,
    send: (bytes) => socket.send(bytes, port, address),
    sendTogether: (parts) => {
      for (const part of parts) socket.send(part, port, address);
    },
    read: (length) => reading(inbox, length),
    pause: () => undefined,
    resume: () => undefined,
    destroy: () => {
      if (isOpen) socket.close();
      isOpen = false;
    },
  };
}

async function stream({ transport, address, port, ca }: ClientOptions): Promise<SipClient> {
  const isTls = transport === 'tls';
  const socket: Socket = isTls
    ? connectTls({ host: address, port, ...(ca === undefined ? {} : { ca }) })
    : connectTcp({ host: address, port });
  const inbox = new Inbox<string>();
  socket.on('data', (chunk) => inbox.put(chunk.toString('latin1')));
  const closed = new Promise<undefined>((resolve) => {
    socket.once('close', () => resolve(undefined));
  });
  await once(socket, isTls ? 'secureConnect' : 'connect');
  socket.on('error', () => undefined);
  socket.setNoDelay(true);
  return {
    address,
    port: socket.localPort!,
    inbox,
    closed,
    send: (bytes) => socket.write(bytes),
    sendTogether: (parts) => socket.write(parts.join('')),
    read: (length) => reading(inbox, length),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    destroy: () => socket.destroy(),
  };
}

async function webSocket({ transport, address, port, ca }: ClientOptions): Promise<SipClient> {
  const host = isIPv6(address) ? `[${address}]` : address;
  const socket = new WebSocket(
    `${transport}://${host}:${port}/any`,
    'sip',
    ca === undefined ? {} : { ca },
  );
  const inbox = new Inbox<string>();
  socket.on('message', (data: Buffer) => inbox.put(data.toString('latin1')));
  const closed = new Promise<number>((resolve) => {
    socket.once('close', (code: number) => resolve(code));
  });
  let below: Socket | undefined;
  socket.once('upgrade', (response) => {
    below = response.socket;
  });
  await once(socket, 'open');
  socket.on('error', () => undefined);
  return {
    address,
    port: below!.localPort!,
    inbox,
    closed,
    send: (bytes) => socket.send(bytes),
    sendTogether: (parts) => {
      below!.cork();
      for (const part of parts) socket.send(part);
      below!.uncork();
    },
    read: (length) => reading(inbox, length),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    destroy: () => socket.terminate(),
  };
}
