import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { connect, isIPv6 } from 'node:net';
import { decodeDnsReply, encodeDnsQuery } from './dns-message.ts';
import type { DnsAnswer, DnsReply, DnsType } from './dns-message.ts';
import type { QueryNaptr } from './enum.ts';

export interface DnsServer {
  readonly host: string;
  readonly port: number;
}

/** Asks the DNS; rejects when no server answers. Stops when `signal` aborts. */
export type QueryDns = <Type extends DnsType>(
  name: string,
  type: Type,
  signal: AbortSignal,
) => Promise<DnsAnswer<Type>>;

type Wire = <Reply>(
  query: Buffer,
  server: DnsServer,
  read: (bytes: Buffer) => Reply | undefined,
  signal: AbortSignal,
) => Promise<Reply>;

/** The same as {@link createDnsQuery}, for NAPTR records alone. */
export function createNaptrQuery(servers: readonly string[], stepMs: number): QueryNaptr {
  const query = createDnsQuery(servers, stepMs);
  return async (name, signal) => {
    const { records, ttlSeconds } = await query(name, 'NAPTR', signal);
    return { records, ttlSeconds };
  };
}

/**
 * Asks DNS servers over UDP and, when the answer does not fit, TCP. Node's own resolver does not tell
 * the TTL of most records, and answers must not be kept beyond it. A server that refuses makes room
 * for the next; a silent one is left when the next has its share of time.
 *
 * @param servers `host`, `host:port` or `[v6]:port`; default those of the system
 * @param stepMs after this time without an answer the next server is asked as well
 */
export function createDnsQuery(servers: readonly string[], stepMs: number): QueryDns {
  const parsed = systemServers(servers).map(parseDnsServer);
  return async (name, type, signal) => {
    signal.throwIfAborted();
    // Not AbortSignal.any: that leaves something with the outer signal for each query.
    const stop = new AbortController();
    const stopped = (): void => {
      stop.abort();
    };
    signal.addEventListener('abort', stopped);
    const attempts = parsed.map(async (server, index) => {
      await delay(index * stepMs, stop.signal);
      return ask(name, type, server, stop.signal);
    });
    try {
      return await Promise.any(attempts);
    } finally {
      signal.removeEventListener('abort', stopped);
      stop.abort();
    }
  };
}

/** The servers given, or those of the system when none are. */
export function systemServers(servers: readonly string[]): readonly string[] {
  return servers.length === 0 ? getServers() : servers;
}

/** Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; the port is 53 by default. */
export function parseDnsServer(text: string): DnsServer {
  if (isIPv6(text)) return { host: text, port: 53 };
  const parts = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const host = parts?.[1] ?? parts?.[2];
  if (host === undefined) throw new Error(`"${text}" is no DNS server; expected host:port`);
  return { host, port: Number(parts?.[3] ?? 53) };
}

async function ask<Type extends DnsType>(
  name: string,
  type: Type,
  server: DnsServer,
  signal: AbortSignal,
): Promise<DnsAnswer<Type>> {
  // A random id on a random port is what guards a query against forged answers (RFC 5452).
  const id = randomInt(0x1_0000);
  const query = encodeDnsQuery(id, name, type);
  const read = (bytes: Buffer): DnsReply<Type> | undefined => {
    const reply = decodeDnsReply(bytes, id, name, type);
    return reply.kind === 'foreign' ? undefined : reply;
  };
  let reply = await overUdp(query, server, read, signal);
  if (reply.kind === 'truncated') reply = await overTcp(query, server, read, signal);
  if (reply.kind === 'answer') return reply.answer;
  throw new Error(`${server.host} gave no answer: ${reply.kind}`);
}

const overUdp: Wire = (query, server, read, signal) =>
  new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(server.host) ? 'udp6' : 'udp4', signal });
    let isOpen = true;
    const close = (): void => {
      if (isOpen) socket.close();
      isOpen = false;
    };
    const failed = (error: Error): void => {
      reject(error);
      close();
    };
    const sent = (error: Error | null): void => {
      if (error !== null) failed(error);
    };
    socket.on('error', failed);
    socket.on('close', () => {
      isOpen = false;
      reject(new Error('closed'));
    });
    socket.on('message', (bytes) => {
      const reply = read(bytes);
      if (reply === undefined) return;
      resolve(reply);
      close();
    });
    // Connected, so that the kernel drops what other addresses send.
    socket.connect(server.port, server.host, (error?: Error) => {
      // The system may refuse, e.g. for want of a route; the types do not say so.
      if (error !== undefined) failed(error);
      else socket.send(query, sent);
    });
  });

const overTcp: Wire = (query, server, read, signal) =>
  new Promise((resolve, reject) => {
    const socket = connect({ port: server.port, host: server.host, signal });
    let received = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => {
      reject(new Error('closed'));
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const reply = read(received.subarray(2, 2 + received.readUInt16BE(0)));
      if (reply !== undefined) resolve(reply);
      socket.destroy();
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });

function delay(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, delayMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(new Error('stopped'));
    });
  });
}
