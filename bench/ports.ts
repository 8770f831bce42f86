import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Started } from './processes.ts';

/** Ports of all measurements, on loopback; one measurement runs at a time. */
export const ports = {
  subjectSip: 25060,
  caller: 25070,
  callees: [25071, 25072],
  subjectHttp: 25080,
  origins: [25081, 25082],
  /** First of the ports of a peer; the second peer's follow after ten. */
  peers: 25100,
} as const;

const readyWithinMs = 20_000;
const askEveryMs = 50;

/** Asks until the answer is yes; rejects after 20 s or when the program has ended, with what it printed. */
export async function until(
  what: string,
  started: Started,
  isTrue: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  while (!(await isTrue())) {
    if (started.hasEnded() || performance.now() > deadline) {
      await started.stop();
      throw new Error(`${what} did not come\n${started.output()}`);
    }
    await delay(askEveryMs);
  }
}

/** Whether some process of the machine has bound the port; read from the kernel, nothing is sent. */
export function isBound(protocol: 'udp' | 'tcp', port: number): boolean {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return readFileSync(`/proc/net/${protocol}`, 'latin1')
    .split('\n')
    .some((line) => {
      const [, local, , state] = line.trim().split(/\s+/);
      const isListening = protocol === 'udp' || state === '0A';
      return isListening && `${local ?? ''} `.endsWith(hex);
    });
}

/** Whether an HTTP GET is answered 200. */
export async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
