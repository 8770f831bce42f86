import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';

/** One call as SIPp saw it, from its message log. */
export interface LoggedCall {
  readonly callId: string;
  /** Instances that answered it. */
  readonly servedBy: ReadonlySet<string>;
  /** Milliseconds since the epoch of its first message. */
  readonly startedMs: number;
  /** Method and status of each message received, e.g. `INVITE 200`. */
  readonly received: readonly string[];
  /** Methods sent, retransmissions included. */
  readonly sent: readonly string[];
  /** All of them in order: `INVITE` sent, `INVITE 200` received. */
  readonly messages: readonly LoggedMessage[];
}

export interface LoggedMessage {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly isSent: boolean;
  readonly what: string;
}

export interface SippResult {
  readonly exitCode: number;
  readonly calls: readonly LoggedCall[];
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
}

/** Path of a scenario of this project. */
export function scenario(name: string): string {
  return fileURLToPath(new URL(`../e2e/scenarios/${name}.xml`, import.meta.url));
}

/** Runs SIPp as a client until its calls are done, and reads what it logged. */
export async function runSipp(
  t: TestContext,
  target: string,
  args: readonly string[],
  onStarted?: () => void,
): Promise<SippResult> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-sipp-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const log = join(folder, 'messages.log');
  const statistics = join(folder, 'statistics.csv');
  const child = spawn(
    'sipp',
    [
      target,
      '-i',
      '127.0.0.1',
      '-nostdin',
      '-timeout',
      '120',
      '-trace_msg',
      '-message_file',
      log,
    ].concat(['-trace_stat', '-stf', statistics, '-fd', '1', ...args]),
    { cwd: folder, stdio: 'ignore' },
  );
  onStarted?.();
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  return {
    exitCode: exitCode ?? -1,
    calls: readCalls(await readFile(log, 'utf8')),
    ...readStatistics(await readFile(statistics, 'utf8')),
  };
}

function readStatistics(
  csv: string,
): Pick<SippResult, 'successful' | 'failed' | 'retransmissions'> {
  const lines = csv.trim().split('\n');
  const names = lines[0]!.split(';');
  const values = lines.at(-1)!.split(';');
  const value = (name: string): number => Number(values[names.indexOf(name)]);
  return {
    successful: value('SuccessfulCall(C)'),
    failed: value('FailedCall(C)'),
    retransmissions: value('Retransmissions(C)'),
  };
}

interface CallUnderWay {
  callId: string;
  servedBy: Set<string>;
  startedMs: number;
  received: string[];
  sent: string[];
  messages: LoggedMessage[];
}

/** A message log has `---- <date>\t<time>...`, a line about the direction, and the message. */
export function readCalls(log: string): LoggedCall[] {
  const calls = new Map<string, CallUnderWay>();
  for (const part of log.split(/^-{20,} /m).slice(1)) {
    const callId = /^(?:Call-ID|i)\s*:\s*(.+?)\r?$/im.exec(part)?.[1];
    const direction = /message (sent|received)/.exec(part)?.[1];
    if (callId === undefined || direction === undefined) continue;
    const atMs = Date.parse(`${part.slice(0, 26).replace('\t', 'T').trim()}Z`);
    const call = calls.get(callId) ?? {
      callId,
      servedBy: new Set<string>(),
      startedMs: atMs,
      received: [],
      sent: [],
      messages: [],
    };
    calls.set(callId, call);
    note(call, part, direction === 'sent', atMs);
  }
  return [...calls.values()];
}

function note(call: CallUnderWay, part: string, isSent: boolean, atMs: number): void {
  const instance = /^X-Served-By:\s*(\S+)/im.exec(part)?.[1];
  const method = /^CSeq\s*:\s*\d+\s+(\S+)/im.exec(part)?.[1] ?? '?';
  if (isSent) {
    call.sent.push(method);
    call.messages.push({ atMs, isSent, what: method });
    return;
  }
  if (instance !== undefined) call.servedBy.add(instance);
  const status = /^SIP\/2\.0 (\d+)/m.exec(part)?.[1] ?? '?';
  call.received.push(`${method} ${status}`);
  call.messages.push({ atMs, isSent, what: `${method} ${status}` });
}

/** How many calls each instance served; a call that several served counts for each. */
export function shares(calls: readonly LoggedCall[]): Map<string, number> {
  const count = new Map<string, number>();
  for (const call of calls) {
    for (const name of call.servedBy) count.set(name, (count.get(name) ?? 0) + 1);
  }
  return count;
}
