import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freeUdpPort } from './free-port.ts';
import { readCalls, scenario, type LoggedCall } from './sipp.ts';

/** What SIPp counted; what must not happen is named for what it would mean. */
export interface SippCounts {
  readonly calls: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Messages that belong to no call of this process. */
  readonly strays: number;
  /** Messages of calls that had ended. */
  readonly late: number;
}

export interface SippOutcome extends SippCounts {
  readonly exitCode: number;
  /** First lines of its error log. */
  readonly complaints: string;
}

export interface SippProcess {
  readonly port: number;
  readonly pid: number;
  /** Settles when the process has ended. */
  readonly done: Promise<SippOutcome>;
  readonly hasEnded: () => boolean;
  /** Lets running calls end, then the process. */
  readonly finish: () => Promise<SippOutcome>;
  /** Calls by its message log; only of a process started with `logMessages`. */
  readonly logged: () => Promise<LoggedCall[]>;
}

export interface SippOptions {
  readonly scenario: string;
  /** Where a caller sends to; without it the process waits for calls. */
  readonly target?: string;
  /** Own address; by default of loopback. */
  readonly address?: string;
  /** Own UDP port; by default a free one. */
  readonly port?: number;
  readonly args?: readonly string[];
  readonly logMessages?: boolean;
}

/** Longest life of a process that nobody ends, in seconds. */
const lifetimeSeconds = 240;

/** Starts SIPp over UDP and, where it waits for calls, waits until it listens; the test's end stops it. */
export async function startSipp(t: TestContext, options: SippOptions): Promise<SippProcess> {
  const { target, address = '127.0.0.1', args = [], logMessages = false } = options;
  const port = options.port ?? (await freeUdpPort());
  const folder = await mkdtemp(join(tmpdir(), 'sailring-sipp-'));
  const file = (name: string): string => join(folder, name);
  const child = spawn(
    'sipp',
    [
      ...(target === undefined ? [] : [target]),
      ...['-sf', scenario(options.scenario), '-i', address, '-p', String(port)],
      ...['-nostdin', '-timeout', String(lifetimeSeconds), '-trace_stat', '-fd', '1'],
      ...['-stf', file('statistics.csv'), '-trace_err', '-error_file', file('errors.log')],
      ...(logMessages ? ['-trace_msg', '-message_file', file('messages.log')] : []),
      ...args,
    ],
    // Its log writes the time of the zone that it is told.
    { cwd: folder, stdio: 'ignore', env: { ...process.env, TZ: 'UTC' } },
  );
  const done = outcome(child, file);
  t.after(async () => {
    child.kill('SIGKILL');
    await done;
    await rm(folder, { recursive: true, force: true });
  });
  if (target === undefined) await listens(port, address);
  return {
    port,
    pid: child.pid ?? 0,
    done,
    hasEnded: () => hasEnded(child),
    finish: () => {
      child.kill('SIGUSR1');
      return done;
    },
    logged: async () => readCalls(await readFile(file('messages.log'), 'utf8')),
  };
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function outcome(child: ChildProcess, file: (name: string) => string): Promise<SippOutcome> {
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  const complaints = await readFile(file('errors.log'), 'utf8').catch(() => '');
  return {
    exitCode: exitCode ?? -1,
    complaints: complaints.slice(0, 2000),
    ...counts(await readFile(file('statistics.csv'), 'utf8').catch(() => '')),
  };
}

function counts(csv: string): SippCounts {
  const lines = csv.trim().split('\n');
  const names = lines[0]!.split(';');
  const values = lines.at(-1)!.split(';');
  const value = (name: string): number => Number(values[names.indexOf(`${name}(C)`)]);
  return {
    calls: value('IncomingCall') + value('OutgoingCall'),
    successful: value('SuccessfulCall'),
    failed: value('FailedCall'),
    retransmissions: value('Retransmissions'),
    strays: value('OutOfCallMsgs'),
    late: value('DeadCallMsgs'),
  };
}

/** A datagram to a port where nobody listens is refused. */
export async function listens(port: number, address = '127.0.0.1'): Promise<void> {
  for (;;) {
    const socket = createSocket('udp4');
    socket.connect(port, address);
    await once(socket, 'connect');
    socket.send('\r\n\r\n');
    const refused = await Promise.race([
      once(socket, 'error').then(() => true),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 50)),
    ]);
    socket.close();
    if (!refused) return;
  }
}
