import { setTimeout as passed } from 'node:timers/promises';
import type { Logger } from 'pino';
import { cliLimits } from '../config/defaults.ts';
import type { Config } from '../config/index.ts';
import type { RunningPeer } from '../peer.ts';
import { readConfig } from './check.ts';
import { complain } from './complain.ts';
import { createLog } from './log.ts';
import { describeStartFailure } from './start-failure.ts';
import { stopSignal } from './stop-signals.ts';
import type { CliOutput } from './output.ts';

export interface StartOptions {
  readonly config: string;
  /** Print the addresses as one JSON line instead of text. */
  readonly json?: boolean;
  /** Stop when standard input ends. */
  readonly exitWithParent?: boolean;
}

/**
 * Runs one peer until it is told to stop: a signal drains it, a second one ends it at once.
 *
 * @returns the exit code; the caller then leaves the process
 */
export async function start(options: StartOptions, out: CliOutput): Promise<number> {
  const config = await readConfig(options.config, out);
  if (config === undefined) return 1;
  const log = createLog(config);
  const parentGone = options.exitWithParent === true ? standardInputEnd() : undefined;
  // Nobody is left to start for.
  void parentGone?.then(() => setTimeout(() => process.exit(0), cliLimits.stopTimeoutMs).unref());
  const signal = stopSignal((exitCode) => process.exit(exitCode));
  const told = Promise.race([signal, ...(parentGone === undefined ? [] : [parentGone])]);
  let peer: RunningPeer | undefined;
  try {
    peer = await startUnless(told, config, log);
    if (peer === undefined) {
      log.info({ reason: await told }, 'stopped before it was ready');
      return 0;
    }
  } catch (error) {
    log.debug({ err: error }, 'start failed');
    complain(out, describeStartFailure(error, config, options.config));
    return 1;
  }
  out.out(`${options.json === true ? asJson(peer) : asText(peer)}\n`);
  const end = await told;
  log.info({ reason: end }, 'stopping');
  if (end !== 'parent gone') await peer.drain();
  await peer.stop();
  return 0;
}

/**
 * Undefined when it was told to stop before the peer was ready: nobody relies on it yet, so it only tells
 * those whom it has met that it goes. What hangs meanwhile ends with the process.
 */
async function startUnless(
  told: Promise<string>,
  config: Config,
  log: Logger,
): Promise<RunningPeer | undefined> {
  const stopping = new AbortController();
  const ended = told.then(() => {
    stopping.abort();
    return passed(cliLimits.stopTimeoutMs, undefined);
  });
  try {
    const { startPeer } = await import('../peer.ts');
    return await Promise.race([startPeer(config, log, stopping.signal), ended]);
  } catch (error) {
    if (stopping.signal.aborted && error === stopping.signal.reason) return undefined;
    throw error;
  }
}

function standardInputEnd(): Promise<'parent gone'> {
  return new Promise((resolve) => {
    for (const event of ['end', 'close', 'error'])
      process.stdin.once(event, () => {
        resolve('parent gone');
      });
    process.stdin.resume();
  });
}

function asJson(peer: RunningPeer): string {
  return JSON.stringify({ pid: process.pid, ...peer.addresses });
}

function asText({ addresses }: RunningPeer): string {
  const { name, sip, http, admin, gossip, link } = addresses;
  const listeners = Object.entries(sip).map(([transport, where]) => [`sip ${transport}`, where]);
  const others = Object.entries({ http, admin, gossip, link });
  const parts = [...listeners, ...others].filter(([, where]) => where !== undefined);
  return `sailring ${name} ready ${parts.map(([what, where]) => `${what} ${where}`).join(' ')}`;
}
