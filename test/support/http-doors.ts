import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { Client, H2CClient, type Dispatcher } from 'undici';
import {
  assertFields,
  comparable,
  comparableAcrossVersions,
  comparableView,
  comparableViewAcrossVersions,
  fieldsOf,
  joined,
  toldIn,
  type Field,
  type Seen,
} from './http-seen.ts';
import { siteName, type Site, type SitePeer } from './http-site.ts';
import { startProxySprayer } from './proxy-sprayer.ts';

/** How clients speak to the peers. The application itself is asked in clear text and HTTP/1.1. */
export interface Way {
  readonly name: string;
  readonly scheme: 'http' | 'https';
  readonly version: '1.1' | '2';
  /** The client that the PROXY header of a sprayer names; without it there is no sprayer. */
  readonly source?: string;
}

export const ways: readonly Way[] = [
  { name: 'HTTP/1.1', scheme: 'http', version: '1.1' },
  { name: 'HTTP/2 in clear text', scheme: 'http', version: '2' },
  { name: 'HTTP/1.1 over TLS', scheme: 'https', version: '1.1' },
  { name: 'HTTP/2 over TLS', scheme: 'https', version: '2' },
  { name: 'HTTP/1.1 behind PROXY', scheme: 'http', version: '1.1', source: '203.0.113.7' },
  {
    name: 'HTTP/1.1 over TLS behind PROXY',
    scheme: 'https',
    version: '1.1',
    source: '2001:db8::7',
  },
  { name: 'HTTP/2 over TLS behind PROXY', scheme: 'https', version: '2', source: '203.0.113.8' },
];

/** Doors to one and the same instance of the application. */
export const doors = ['straight', 'through one peer', 'through two peers'] as const;
export type Door = (typeof doors)[number];

/** A request by undici; its cookies follow those of the session. */
export type Asked = Omit<Dispatcher.RequestOptions, 'headers' | 'responseHeaders' | 'onInfo'> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** The doors of a site as one way leads to them. */
export class Doors {
  readonly site: Site;
  readonly way: Way;
  /** The authority that clients believe. */
  readonly ca: Buffer | undefined;
  readonly #origins: Readonly<Record<Door, string>>;
  readonly #clients: ReadonlyMap<Door, Dispatcher>;

  private constructor(
    t: TestContext,
    site: Site,
    way: Way,
    ca: Buffer | undefined,
    origins: Readonly<Record<Door, string>>,
  ) {
    this.site = site;
    this.way = way;
    this.ca = ca;
    this.#origins = origins;
    this.#clients = new Map(doors.map((door) => [door, this.client(t, door)]));
  }

  static async open(t: TestContext, site: Site, way: Way): Promise<Doors> {
    const ca = site.authority === undefined ? undefined : await readFile(site.authority);
    const origin = async ({ listeners }: SitePeer): Promise<string> => {
      const { source, scheme } = way;
      if (source === undefined)
        return `${scheme}://${scheme === 'http' ? listeners.clear : listeners.tls}`;
      const proxied = scheme === 'http' ? listeners.clearProxied : listeners.tlsProxied;
      return `${scheme}://${await startProxySprayer(t, proxied, source)}`;
    };
    return new Doors(t, site, way, ca, {
      straight: `http://${site.application}`,
      'through one peer': await origin(site.owner),
      'through two peers': await origin(site.other),
    });
  }

  origin(door: Door): string {
    return this.#origins[door];
  }

  /** Version of HTTP that is spoken at a door. */
  version(door: Door): Way['version'] {
    return door === 'straight' ? '1.1' : this.way.version;
  }

  /** A connection of undici, which the test's end closes. */
  client(t: TestContext, door: Door): Dispatcher {
    const { ca } = this;
    const isHttp2 = this.version(door) === '2';
    const origin = this.origin(door);
    const client =
      isHttp2 && this.way.scheme === 'http'
        ? new H2CClient(origin)
        : new Client(origin, {
            ...{ pipelining: 8, allowH2: isHttp2 },
            ...(ca === undefined ? {} : { connect: { ca } }),
          });
    t.after(() => client.destroy());
    return client;
  }

  /**
   * Asks at every door and compares what `seenAt` makes of the answers.
   *
   * @param what names what all ways have in common, so that it is asked straight once
   */
  async same(seenAt: (door: Door) => Promise<unknown>, what?: string): Promise<void> {
    const [straight, ...through] = await Promise.all([
      what === undefined
        ? seenAt('straight')
        : this.#straight(`${this.way.version} ${what}`, seenAt),
      ...doors.slice(1).map(seenAt),
    ]);
    for (const [at, seen] of through.entries()) assert.deepEqual(seen, straight, doors[at + 1]);
  }

  #straight(what: string, seenAt: (door: Door) => Promise<unknown>): Promise<unknown> {
    const { straight } = this.site;
    const known = straight.get(what) ?? seenAt('straight');
    straight.set(what, known);
    return known;
  }

  /** A request by undici, over one connection for each door. */
  async ask(door: Door, { headers = {}, ...rest }: Asked): Promise<Seen> {
    const interim: { status: number; headers: Field[] }[] = [];
    const fields = (raw: unknown): Field[] => {
      const list = fieldsOf(raw as string[]);
      return this.way.version === '2' ? joined(list) : list;
    };
    const { cookie, ...others } = headers;
    const cookies = [this.site.cookie, ...(cookie === undefined ? [] : [cookie])].join('; ');
    const answer = await this.#clients.get(door)!.request({
      ...rest,
      headers: { host: siteName, cookie: cookies, ...others },
      responseHeaders: 'raw',
      onInfo: ({ statusCode, headers: told }) => {
        interim.push({ status: statusCode, headers: fields(told) });
      },
    });
    return {
      status: answer.statusCode,
      reason: answer.statusText,
      headers: fields(answer.headers),
      interim,
      body: Buffer.from(await answer.body.arrayBuffer()),
      trailers: Object.entries(answer.trailers),
    };
  }

  /** What a request without any cookie has set. */
  async setCookies(door: Door, path: string): Promise<string[]> {
    const client = this.#clients.get(door)!;
    const headers = { host: siteName };
    const answer = await client.request({ method: 'GET', path, headers });
    await answer.body.dump();
    const set = answer.headers['set-cookie'] ?? [];
    return Array.isArray(set) ? set : [set];
  }

  /** What of an answer must not differ between doors; that its fields are of the version is asserted. */
  comparable(door: Door, seen: Seen): unknown {
    assertFields(seen, this.version(door));
    return this.way.version === '2' ? comparableAcrossVersions(seen) : comparable(seen);
  }

  /**
   * What of a request must not differ between doors, as /view tells it; what peers tell the
   * application of the client is asserted.
   *
   * @param authority what the client named in Host
   */
  comparableView(door: Door, json: string, authority: string = siteName): unknown {
    assert.deepEqual(toldIn(json), door === 'straight' ? [] : this.#told(authority), door);
    return this.way.version === '2' ? comparableViewAcrossVersions(json) : comparableView(json);
  }

  #told(authority: string): readonly (readonly [string, string])[] {
    const { scheme, version, source = '127.0.0.1' } = this.way;
    const { site } = this;
    const { port } = new URL(`none://${authority}`);
    const node = source.includes(':') ? `"[${source}]"` : source;
    return [
      ['forwarded', `for=${node};proto=${scheme};host="${authority}"`],
      ['proxy-bekey', /(?:^|; )BEKEY=([^.]*)/.exec(site.cookie)![1]!],
      ['proxy-beroute', site.owner.process.name],
      ['traceparent', '00-?-?-01'],
      ['via', `${version} sailring`],
      ['x-forwarded-for', source],
      ['x-forwarded-host', authority],
      ['x-forwarded-port', port !== '' ? port : scheme === 'https' ? '443' : '80'],
      ['x-forwarded-proto', scheme],
    ];
  }
}
