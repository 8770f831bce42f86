import { accessSync, constants } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { programFile } from './package.ts';

/** What `sailring cluster --json` prints when all is ready. */
export interface ClusterAddresses {
  readonly sip: { readonly udp: string; readonly tcp: string };
  /** URL. */
  readonly http: string;
  readonly peers: readonly {
    readonly name: string;
    readonly pid: number;
    /** `host:port`, UDP and TCP. */
    readonly sip: string;
    /** URL. */
    readonly http: string;
    /** URL. */
    readonly admin: string;
    readonly gossip: string;
    readonly link: string;
  }[];
}

/** The same for people, with three commands to try. */
export function clusterText(cluster: ClusterAddresses, mode: string, rulesFile: string): string {
  const count = cluster.peers.length;
  const peers = cluster.peers.map(
    ({ name, pid, sip, http, admin }) =>
      `  ${name.padEnd(8)} pid ${String(pid).padEnd(8)} sip ${sip}  http ${http}  admin ${admin}`,
  );
  return [
    `sailring cluster ready: ${count} ${count === 1 ? 'peer' : 'peers'} behind a ${mode} sprayer`,
    '',
    `  SIP      ${cluster.sip.udp} (UDP and TCP)`,
    `  HTTP     ${cluster.http}`,
    ...peers,
    '',
    'Try in another terminal:',
    '',
    ...commands(cluster, rulesFile).map((command) => `  ${command}`),
    '',
    `Ctrl-C stops everything. kill -USR2 ${process.pid} restarts all peers, one after another.`,
    '',
  ].join('\n');
}

function commands(cluster: ClusterAddresses, rulesFile: string): string[] {
  const page = `${cluster.http}/conference?ConferenceName=42`;
  const rules = relative(process.cwd(), rulesFile);
  const call = `sipp -sn uac ${cluster.sip.udp} -r 50 -m 200`;
  return [
    isInstalled('sipp') ? call : `curl -s '${cluster.peers[0]?.admin ?? ''}/status'`,
    `curl -s -H 'Accept: application/json' '${page}'`,
    `printf 'GET /conference?ConferenceName=42 HTTP/1.1\\r\\nHost: example.com\\r\\n\\r\\n' | ${program()} dcr explain ${rules}`,
  ];
}

/** How this program can be called again from the folder it was called in. */
function program(): string {
  const node = join('node_modules', '.bin', 'node');
  const own = relative(process.cwd(), process.execPath).startsWith('node_modules');
  return `${own ? node : process.execPath} ${relative(process.cwd(), programFile())}`;
}

function isInstalled(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
