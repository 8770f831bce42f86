import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { formatHostPort } from '../config/address.ts';
import { cliLimits } from '../config/defaults.ts';
import type { SprayerMode } from '../io/sprayer/sprayer.ts';
import { Sprayer } from '../io/sprayer/sprayer.ts';
import { Counters } from '../pipeline/counters.ts';
import { clusterAddress, clusterPeerYaml } from './cluster-config.ts';
import { ClusterMember } from './cluster-member.ts';
import { waitForMembers } from './cluster-members.ts';
import type { ClusterPorts } from './cluster-ports.ts';
import { clusterPorts, wantedPorts } from './cluster-ports.ts';
import type { ClusterAddresses } from './cluster-text.ts';
import { clusterText } from './cluster-text.ts';
import { complain } from './complain.ts';
import { dcrCheck } from './dcr-check.ts';
import { findOccupied } from './free-ports.ts';
import type { CliOutput } from './output.ts';
import { packageFile } from './package.ts';
import { stopSignal } from './stop-signals.ts';

export interface ClusterOptions {
  readonly peers: number;
  readonly basePort?: number;
  readonly dcr?: string;
  readonly sprayer: SprayerMode;
  readonly json?: boolean;
}

/**
 * Runs a whole cluster on loopback until it is told to stop.
 *
 * @returns the exit code; the caller then leaves the process
 */
export async function cluster(options: ClusterOptions, out: CliOutput): Promise<number> {
  const ports = clusterPorts(options.peers, options.basePort);
  const rulesFile = resolve(options.dcr ?? packageFile('dcr-examples/conference.xml'));
  if ((await dcrCheck(rulesFile, { ...out, out: () => undefined })) !== 0) return 1;
  const occupied = await findOccupied(wantedPorts(ports), clusterAddress);
  if (occupied !== undefined) {
    const { port, purpose } = occupied;
    const remedy = 'stop what holds it or choose other ports with --base-port N';
    complain(out, `port ${port} (${purpose}) is in use or not allowed; ${remedy}`);
    return 1;
  }
  const running = new RunningCluster(ports, options.sprayer, rulesFile);
  const signal = stopSignal((exitCode) => {
    running.kill();
    process.exit(exitCode);
  });
  // However this process ends, nothing of the cluster stays behind.
  process.once('exit', () => {
    running.kill();
  });
  try {
    const addresses = await Promise.race([running.start(), signal]);
    if (typeof addresses === 'string') return 0;
    out.out(
      options.json === true
        ? `${JSON.stringify(addresses)}\n`
        : clusterText(addresses, options.sprayer, rulesFile),
    );
    const tell = (message: string): void => {
      complain(out, message);
    };
    const allEnded = running.watch(tell);
    process.on('SIGUSR2', () => {
      void running.restart(restartText(options, out)).catch((error: unknown) => {
        tell(
          `the rolling restart ended: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
    });
    const end = await Promise.race([signal, allEnded]);
    if (end === 'all ended') complain(out, 'no peer is left');
    return end === 'all ended' ? 1 : 0;
  } catch (error) {
    complain(out, error instanceof Error ? error.message : String(error));
    return 1;
  } finally {
    await running.stop();
  }
}

class RunningCluster {
  readonly #ports: ClusterPorts;
  readonly #sprayer: Sprayer;
  readonly #directory: string;
  readonly #peers: readonly ClusterMember[];
  #isRestarting = false;
  #isStopping = false;

  constructor(ports: ClusterPorts, mode: SprayerMode, rulesFile: string) {
    this.#ports = ports;
    this.#directory = mkdtempSync(join(tmpdir(), 'sailring-'));
    const secret = randomBytes(32).toString('base64url');
    this.#peers = ports.peers.map((peer) => {
      const file = join(this.#directory, `${peer.name}.yaml`);
      writeFileSync(file, clusterPeerYaml(peer, ports, secret, rulesFile), { mode: 0o600 });
      return new ClusterMember(peer.name, file);
    });
    this.#sprayer = new Sprayer({
      mode,
      sip: { address: clusterAddress, port: ports.sip },
      http: { address: clusterAddress, port: ports.http },
      peers: ports.peers.map((peer) => ({ sip: at(peer.sip), http: at(peer.http) })),
      counters: new Counters(),
    });
  }

  /** Resolves when all peers see each other and the sprayer listens. */
  async start(): Promise<ClusterAddresses> {
    await Promise.all(this.#peers.map((peer) => peer.ready));
    await this.#whole();
    const { sip, http } = await this.#sprayer.start();
    return {
      sip,
      http: `http://${http}`,
      peers: this.#ports.peers.map((peer, index) => ({
        name: peer.name,
        pid: this.#peers[index]!.pid,
        sip: at(peer.sip),
        http: url(peer.http),
        admin: url(peer.admin),
        gossip: at(peer.gossip),
        link: at(peer.link),
      })),
    };
  }

  /** Waits until every running peer sees all others on the ring. */
  async #whole(): Promise<void> {
    const running = this.#ports.peers.filter((_, at) => this.#peers[at]?.isRunning === true);
    const admin = running.map((peer) => url(peer.admin));
    const timeout = AbortSignal.timeout(cliLimits.clusterReadyTimeoutMs);
    try {
      await waitForMembers(admin, running.length, timeout);
    } catch (error) {
      throw new Error('the peers did not find each other; their log lines above say why', {
        cause: error,
      });
    }
  }

  /** Tells when a peer ends though nobody stopped it. Resolves when none is left. */
  async watch(tell: (message: string) => void): Promise<'all ended'> {
    await Promise.all(
      this.#peers.map(async (peer) => {
        const how = await peer.ended;
        if (!this.#isStopping) tell(`${peer.name} (pid ${peer.pid}) ${how}; the others go on`);
      }),
    );
    return 'all ended';
  }

  /**
   * Restarts one peer after another, each when the one before is on everybody's ring again. While that
   * goes on, further calls do nothing. Rejects when a peer does not come back.
   */
  async restart(tell: (name: string, pid: number) => void): Promise<void> {
    if (this.#isRestarting) return;
    this.#isRestarting = true;
    try {
      for (const peer of this.#peers.filter(({ isRunning }) => isRunning)) {
        if (this.#isStopping) return;
        await peer.restart();
        await this.#whole();
        tell(peer.name, peer.pid);
      }
    } finally {
      this.#isRestarting = false;
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#sprayer.stop();
    await Promise.all(this.#peers.map((peer) => peer.stop()));
    this.#removeDirectory();
  }

  /** Ends everything at once. */
  kill(): void {
    this.#isStopping = true;
    for (const peer of this.#peers) if (peer.isRunning) peer.kill();
    this.#removeDirectory();
  }

  #removeDirectory(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Writes a line for each peer that was restarted. */
function restartText(options: ClusterOptions, out: CliOutput): (name: string, pid: number) => void {
  return (name, pid) => {
    const text = `${name} was restarted (pid ${pid})`;
    out.out(`${options.json === true ? JSON.stringify({ restarted: name, pid }) : text}\n`);
  };
}

function at(port: number): string {
  return formatHostPort(clusterAddress, port);
}

function url(port: number): string {
  return `http://${at(port)}`;
}
