import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';
import type { ClusterAddresses } from '../../src/cli/cluster-text.ts';

export type { ClusterAddresses };

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Room that one cluster's ports take at most. */
const portsPerCluster = 200;

/**
 * Starts `sailring cluster` on ports of its own and waits for its line; the test's end stops it.
 * Ports that another program took are answered by another try elsewhere.
 */
export async function startCluster(
  t: TestContext,
  args: readonly string[] = [],
): Promise<ClusterAddresses> {
  return (await startClusterProcess(t, args)).addresses;
}

/** The same, with the process that keeps it and what that writes after its first line. */
export async function startClusterProcess(
  t: TestContext,
  args: readonly string[] = [],
): Promise<{ addresses: ClusterAddresses; pid: number; lines: () => string[] }> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const slot = (process.pid + attempt * 31 + slots++) % 80;
    const base = 11_000 + slot * portsPerCluster;
    const child = spawn(
      process.execPath,
      [main, 'cluster', '--json', '--base-port', String(base), ...args],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const complaints = collect(child.stderr);
    t.after(() => stop(child));
    const line = await firstLine(child);
    if (line !== undefined) {
      const written = collect(child.stdout);
      const addresses = JSON.parse(line) as ClusterAddresses;
      return { addresses, pid: child.pid ?? 0, lines: () => written().split('\n').slice(0, -1) };
    }
    if (!complaints().includes('in use'))
      throw new Error(`the cluster did not start: ${complaints()}`);
  }
  throw new Error('no free ports for a cluster');
}

let slots = 0;

/** First line of standard output, or undefined when the process ends without one. */
export async function firstLine(child: ChildProcess): Promise<string | undefined> {
  const { stdout } = child;
  if (stdout === null) throw new Error('the process has no standard output');
  let text = '';
  stdout.setEncoding('utf8');
  for await (const chunk of stdout.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    const end = text.indexOf('\n');
    if (end >= 0) {
      stdout.resume();
      return text.slice(0, end);
    }
  }
  return undefined;
}

/** Ends a process that the test started and waits until it is gone. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = '';
  stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return () => text;
}

/** A value of a peer's metrics page; 0 when it is not there. */
export async function metric(admin: string, name: string, reason: string): Promise<number> {
  const page = await (await fetch(`${admin}/metrics`)).text();
  const line = page.split('\n').find((each) => each.startsWith(`${name}{reason="${reason}"}`));
  return line === undefined ? 0 : Number(line.split(' ').at(-1));
}
