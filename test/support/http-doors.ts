import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { Client, type Dispatcher } from 'undici';
import { sessionAt, startHttpApplication, startHttpPeers } from './http-cluster.ts';
import { fieldsOf, type Seen } from './http-seen.ts';
import type { PeerProcess } from './peers.ts';

/** Ways to one and the same instance of the application. */
export const doors = ['straight', 'through one peer', 'through two peers'] as const;
export type Door = (typeof doors)[number];

/** A request by undici. */
export type Asked = Omit<Dispatcher.RequestOptions, 'headers' | 'responseHeaders' | 'onInfo'> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** An instance of http-application.ts at one peer, another peer, and a session of that instance. */
export class Doors {
  /** What clients name in Host, so that requests look alike whichever way they come. */
  readonly host: string = 'app.example';
  /** The session's cookies, which bring a request to its instance. */
  readonly cookie: string;
  /** The peer of the instance, and the one that hands everything over to it. */
  readonly peers: readonly [owner: PeerProcess, other: PeerProcess];
  readonly #origins: Readonly<Record<Door, string>>;
  readonly #clients: Readonly<Record<Door, Client>>;

  private constructor(
    t: TestContext,
    port: number,
    peers: readonly [PeerProcess, PeerProcess],
    cookie: string,
  ) {
    this.peers = peers;
    this.cookie = cookie;
    const [owner, other] = peers;
    this.#origins = {
      straight: `http://127.0.0.1:${port}`,
      'through one peer': `http://${owner.http}`,
      'through two peers': `http://${other.http}`,
    };
    const client = (door: Door): Client => {
      const made = new Client(this.#origins[door], { pipelining: 8 });
      t.after(() => made.destroy());
      return made;
    };
    this.#clients = {
      straight: client('straight'),
      'through one peer': client('through one peer'),
      'through two peers': client('through two peers'),
    };
  }

  static async open(t: TestContext, listener: object = {}): Promise<Doors> {
    const applications = await Promise.all([
      startHttpApplication(t, 'app-1'),
      startHttpApplication(t, 'app-2'),
    ]);
    const [owner, other] = await startHttpPeers(
      t,
      applications.map(({ host, port }) => ({ host, port })),
      {
        http: {
          listeners: [{ address: '127.0.0.1', port: 0, ...listener }],
          contextRoots: [{ path: '/', kind: 'web' }],
        },
      },
    );
    assert.ok(owner !== undefined && other !== undefined);
    const cookie = await sessionAt(owner, '/session');
    return new Doors(t, applications[0].port, [owner, other], cookie);
  }

  origin(door: Door): string {
    return this.#origins[door];
  }

  /** Asks at every door and compares what `seenAt` makes of the answers. */
  async same(seenAt: (door: Door) => Promise<unknown>): Promise<void> {
    const straight = await seenAt('straight');
    for (const door of doors.slice(1)) assert.deepEqual(await seenAt(door), straight, door);
  }

  /** A request by undici, over one connection for each door. */
  async ask(door: Door, { headers = {}, ...rest }: Asked): Promise<Seen> {
    const interim: { status: number; headers: Seen['headers'] }[] = [];
    const answer = await this.#clients[door].request({
      ...rest,
      headers: { host: this.host, cookie: this.cookie, ...headers },
      responseHeaders: 'raw',
      onInfo: ({ statusCode, headers: told }) => {
        interim.push({ status: statusCode, headers: fieldsOf(told as unknown as string[]) });
      },
    });
    return {
      status: answer.statusCode,
      reason: answer.statusText,
      headers: fieldsOf(answer.headers as unknown as string[]),
      interim,
      body: Buffer.from(await answer.body.arrayBuffer()),
      trailers: Object.entries(answer.trailers),
    };
  }
}
