import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Rules } from '../../../src/dcr/index.ts';
import type { UpstreamHttpConfig } from '../../../src/config/config.ts';
import { upstreamHttp } from '../../../src/config/http-schema.ts';
import { UpstreamHttp } from '../../../src/io/application/upstream-http.ts';
import {
  HttpListener,
  type HttpListenerOptions,
  type ServeHttp,
} from '../../../src/io/http/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import {
  defaultHttpRouting,
  HttpJourney,
  type HttpRouting,
} from '../../../src/pipeline/http-journey.ts';
import { KeyDeriver } from '../../../src/pipeline/key.ts';
import { Stamper } from '../../../src/pipeline/stamp.ts';
import type { ClusterView } from '../../../src/pipeline/view.ts';
import { clusterView } from '../../support/pipeline-parts.ts';

const host = '127.0.0.1';

/** Where an instance's requests go: an upstream server's port, or a function of the test. */
export type Instance = number | ServeHttp;

export interface Rig {
  readonly port: number;
  readonly counters: Counters;
  readonly listener: HttpListener;
  readonly upstreams: ReadonlyMap<string, UpstreamHttp>;
  /** What was logged. */
  readonly log: string[];
}

export interface RigOptions {
  readonly instances: Readonly<Record<string, Instance>>;
  readonly rules?: Rules;
  readonly routing?: Partial<HttpRouting>;
  readonly listener?: Partial<HttpListenerOptions>;
  readonly upstream?: UpstreamOverrides;
}

/** What differs from the defaults. */
export interface UpstreamOverrides extends Partial<
  Omit<UpstreamHttpConfig, 'timeouts' | 'ejection'>
> {
  readonly timeouts?: Partial<UpstreamHttpConfig['timeouts']>;
  readonly ejection?: Partial<UpstreamHttpConfig['ejection']>;
  readonly sweepIntervalMs?: number;
  readonly tunnelsMax?: number;
}

export function upstreamConfig(
  port: number,
  overrides: UpstreamOverrides = {},
): UpstreamHttpConfig {
  const { timeouts, ejection } = upstreamHttp.parse({ host, port });
  return {
    ...upstreamHttp.parse({ host, port }),
    ...overrides,
    timeouts: { ...timeouts, ...overrides.timeouts },
    ejection: { ...ejection, ...overrides.ejection },
  };
}

export function viewOf(names: readonly string[]): ClusterView {
  const ready = Object.fromEntries(names.map((name) => [name, 'ready' as const]));
  return clusterView(names[0] ?? 'p1', ready);
}

/** One ingress peer's HTTP side with all instances at hand; closed with the test. */
export async function startRig(t: TestContext, options: RigOptions): Promise<Rig> {
  const counters = new Counters();
  const log: string[] = [];
  const write = (details: object, message: string): void => {
    log.push(`${message} ${JSON.stringify(details)}`);
  };
  const view = viewOf(Object.keys(options.instances));
  const keys = new KeyDeriver(options.rules);
  const upstreams = new Map<string, UpstreamHttp>();
  const serving = new Map<string, ServeHttp>();
  for (const [name, instance] of Object.entries(options.instances)) {
    if (typeof instance === 'function') {
      serving.set(name, instance);
      continue;
    }
    const upstream = new UpstreamHttp({
      config: upstreamConfig(instance, options.upstream),
      counters,
      log: { warn: write },
      ...(options.upstream?.sweepIntervalMs === undefined
        ? {}
        : { sweepIntervalMs: options.upstream.sweepIntervalMs }),
      ...(options.upstream?.tunnelsMax === undefined
        ? {}
        : { tunnelsMax: options.upstream.tunnelsMax }),
    });
    upstreams.set(name, upstream);
    serving.set(name, (_, request, envelope, response) =>
      upstream.serve(request, envelope, response),
    );
  }
  const listener = new HttpListener({
    listen: { address: host, port: 0 },
    journey: new HttpJourney({
      view: () => view,
      keys: () => keys,
      stamper: new Stamper([{ id: 'a', secret: Buffer.alloc(32, 7) }]),
      counters,
      routing: { ...defaultHttpRouting, ...options.routing },
      roundRobin: { turn: 0 },
    }),
    serve: (name, request, envelope, response) =>
      serving.get(name)!(name, request, envelope, response),
    whenNumberKnown: () => Promise.resolve(),
    counters,
    log: { info: write, warn: write, error: write },
    ...options.listener,
  });
  await listener.start();
  t.after(async () => {
    await listener.stop(0);
    await Promise.all([...upstreams.values()].map((upstream) => upstream.stop()));
  });
  return { port: listener.port, counters, listener, upstreams, log };
}

/** A `node:http` server as upstream application. */
export async function startOrigin(
  t: TestContext,
  handler: RequestListener,
  prepare: (server: Server) => void = () => undefined,
): Promise<number> {
  const server = createServer(handler);
  prepare(server);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A server of raw bytes as upstream application. */
export async function startRawOrigin(
  t: TestContext,
  accept: (socket: Socket) => void,
): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A client that writes bytes as they are and waits for what it wants to see. */
export class RawClient {
  readonly socket: Socket;
  /** Everything received, latin1. */
  text = '';
  isClosed = false;
  hasError = false;
  readonly #waiting = new Set<() => void>();

  /** @param to a port to connect to, or a connection */
  constructor(t: TestContext, to: number | Socket) {
    this.socket = typeof to === 'number' ? connect({ host, port: to, noDelay: true }) : to;
    const wake = (): void => {
      for (const check of [...this.#waiting]) check();
    };
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1');
      wake();
    });
    this.socket.on('error', () => {
      this.hasError = true;
    });
    this.socket.on('close', () => {
      this.isClosed = true;
      wake();
    });
    t.after(() => {
      this.socket.destroy();
    });
  }

  send(latin1: string): void {
    this.socket.write(latin1, 'latin1');
  }

  /** Waits until the text received matches. Rejects when the connection closes before. */
  async until(pattern: RegExp): Promise<string> {
    await this.#when(() => pattern.test(this.text));
    return this.text;
  }

  /** Waits for the end of the connection; everything received. */
  async end(): Promise<string> {
    await this.#when(() => this.isClosed);
    return this.text;
  }

  async #when(isTrue: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        if (isTrue()) {
          this.#waiting.delete(check);
          resolve();
        } else if (this.isClosed) {
          this.#waiting.delete(check);
          reject(new Error(`Closed after ${JSON.stringify(this.text.slice(0, 2_000))}`));
        }
      };
      this.#waiting.add(check);
      check();
    });
  }
}

/** Sends one raw exchange and gives all that came back when the server closed. */
export async function exchange(t: TestContext, port: number, raw: string): Promise<string> {
  const client = new RawClient(t, port);
  client.send(raw);
  return client.end();
}
