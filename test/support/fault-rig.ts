import { spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { firstLine, stop } from './cluster.ts';
import { isSame, Journal, sees, WatchedPeer } from './fault-peers.ts';
import { ReadySpray } from './fault-sprayer.ts';
import { openVisitors, type LoadOptions, type Visitor } from './http-load.ts';
import { startHttpSpray } from './http-spray.ts';
import { TestNetwork, type Station } from './namespaces.ts';
import { startSipp, type SippProcess } from './sipp-process.ts';

const application = fileURLToPath(new URL('fault-application.ts', import.meta.url));

/** Every station is a machine of its own, so all have the same ports. */
export const stationPorts = {
  sip: 5060,
  internal: 5070,
  applicationSip: 5080,
  gossip: 7946,
  link: 7947,
  http: 8080,
  applicationHttp: 8081,
  admin: 9090,
} as const;

const callsPerSecond = 20;
const callMs = 1_000;
const requestsPerSecond = 40;
const visitorsCount = 50;
const askIntervalMs = 20;

/** Peers at stations of their own, each with an instance of the application, under load. */
export class FaultRig {
  readonly network: TestNetwork;
  readonly peers: readonly WatchedPeer[];
  readonly journal: Journal;
  readonly calls: SippProcess;
  readonly sip: ReadySpray;
  readonly http: LoadOptions;
  readonly visitors: readonly Visitor[];

  private constructor(
    parts: Omit<
      FaultRig,
      'names' | 'others' | 'set' | 'whole' | 'linked' | 'declaredDead' | 'sprayersKnow'
    >,
  ) {
    this.network = parts.network;
    this.peers = parts.peers;
    this.journal = parts.journal;
    this.calls = parts.calls;
    this.sip = parts.sip;
    this.http = parts.http;
    this.visitors = parts.visitors;
  }

  /** Starts all of it; the test's end stops it. Call only where `requireNamespaces` holds. */
  static async start(t: TestContext, count: number): Promise<FaultRig> {
    const names = Array.from({ length: count }, (_, at) => `peer-${at + 1}`);
    const network = new TestNetwork(t, names);
    const sip = await ReadySpray.start(t, network.host);
    const journal = new Journal();
    const peers = network.stations.map(
      (station) =>
        new WatchedPeer(t, {
          name: station.name,
          config: configOf(network, station, sip.address),
          command: (program, args) => network.command(station, program, args),
          journal,
          adminToken,
        }),
    );
    await Promise.all(network.stations.map((station) => startApplication(t, network, station)));
    await Promise.all(peers.map((peer) => peer.start()));
    await whole(peers, names, 30_000);
    sip.follow(
      t,
      peers.map((peer, at) => ({
        peer,
        address: `${network.stations[at]!.address}:${stationPorts.sip}`,
      })),
    );
    const spray = await startHttpSpray(
      t,
      peers.map(({ name, admin }, at) => ({
        name,
        admin,
        http: `${network.stations[at]!.address}:${stationPorts.http}`,
      })),
    );
    const http = { spray, target: '/session', perSecond: requestsPerSecond };
    const calls = await startSipp(t, {
      scenario: 'call',
      address: network.host,
      target: sip.address,
      args: ['-r', String(callsPerSecond), '-d', String(callMs), '-m', '100000'],
      logMessages: true,
    });
    // As many are open then as ever will be.
    while (sip.calls <= (callsPerSecond * callMs) / 1_000) await pause(askIntervalMs);
    return new FaultRig({
      network,
      peers,
      journal,
      sip,
      http,
      visitors: await openVisitors(spray, visitorsCount),
      calls,
    });
  }

  get names(): readonly string[] {
    return this.peers.map(({ name }) => name);
  }

  /** Names of all but these. */
  others(...some: readonly WatchedPeer[]): readonly string[] {
    return this.names.filter((name) => some.every((one) => one.name !== name));
  }

  /** Addresses of peers, as nftables writes a set. */
  set(peers: readonly WatchedPeer[]): string {
    const of = peers.map((peer) => this.network.stations[this.peers.indexOf(peer)]!.address);
    return `{ ${of.join(', ')} }`;
  }

  /** Waits until all others have declared this one dead; gives the time of the last one. */
  async declaredDead(peer: WatchedPeer, sinceMs: number, deadlineMs: number): Promise<number> {
    const observers = this.others(peer);
    let times: number[] | undefined;
    await this.journal.until(
      () => {
        times = this.journal.heard('failed', peer.name, observers, sinceMs);
        return times !== undefined;
      },
      deadlineMs,
      `all others declare ${peer.name} dead`,
    );
    return Math.max(...times!);
  }

  /** Waits until both sprayers send to just these. */
  async sprayersKnow(names: readonly string[]): Promise<void> {
    const isKnown = (): boolean =>
      [this.sip.ready(), this.http.spray.ready()].every((ready) => isSame(ready, names));
    while (!isKnown()) await pause(10);
  }

  /** Waits until all peers are alive and in the ring, and all peers see it; gives the time of that. */
  whole(deadlineMs: number): Promise<number> {
    return whole(this.peers, this.names, deadlineMs);
  }

  /** Waits until each peer has a link to each other. */
  async linked(deadlineMs: number): Promise<void> {
    const isLinked = (peer: WatchedPeer): boolean =>
      isSame([...this.journal.linksOf(peer.name)], this.others(peer));
    await this.journal.until(() => this.peers.every(isLinked), deadlineMs, 'all links are up');
  }
}

const adminToken = 'a-token-of-the-tests-alone';

/** Gives the time, in milliseconds since 1970, at which all these peers saw just these members. */
export async function whole(
  peers: readonly WatchedPeer[],
  names: readonly string[],
  deadlineMs: number,
): Promise<number> {
  const endMs = Date.now() + deadlineMs;
  for (;;) {
    const seen = await Promise.all(peers.map((peer) => peer.status()));
    if (seen.every((status) => sees(status, names))) return Date.now();
    await pause(askIntervalMs);
    if (Date.now() < endMs) continue;
    const views = peers.map(({ name }, at) => `${name}: ${JSON.stringify(seen[at]?.members)}`);
    throw new Error(`not one view within ${deadlineMs} ms:\n${views.join('\n')}`);
  }
}

function configOf(
  network: TestNetwork,
  { address }: Station,
  publicAddress: string,
): Record<string, unknown> {
  const ports = stationPorts;
  return {
    cluster: { name: 'faults', minority: 'unready' },
    gossip: {
      listen: { address, port: ports.gossip },
      seeds: network.stations.map((station) => `${station.address}:${ports.gossip}`),
      keys: [Buffer.alloc(32, 7).toString('base64')],
      allow: [network.prefix],
      profile: 'fast',
    },
    link: { listen: { address, port: ports.link }, insecure: true },
    stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
    sip: {
      publicAddress,
      listeners: [
        { transport: 'udp', address, port: ports.sip },
        { transport: 'tcp', address, port: ports.sip },
      ],
      internal: { address, port: ports.internal },
    },
    http: {
      listeners: [{ address, port: ports.http }],
      contextRoots: [{ path: '/', kind: 'web' }],
    },
    application: {
      kind: 'upstream',
      sip: { host: address, port: ports.applicationSip },
      http: { host: address, port: ports.applicationHttp },
    },
    admin: { listen: { address, port: ports.admin }, token: adminToken },
    drainTimeoutMs: 0,
  };
}

async function startApplication(
  t: TestContext,
  network: TestNetwork,
  station: Station,
): Promise<void> {
  const { name, address } = station;
  const ports = [stationPorts.applicationSip, stationPorts.applicationHttp].map(String);
  const [file, args] = network.command(station, process.execPath, [
    application,
    name,
    address,
    ...ports,
  ]);
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => stop(child));
  if ((await firstLine(child)) === undefined)
    throw new Error(`${name}'s application did not start`);
}
