import { setTimeout as pause } from 'node:timers/promises';
import { cliLimits } from '../config/defaults.ts';

/** The part of `/status` that tells whether a peer sees its cluster. */
interface SeenCluster {
  readonly state: string;
  readonly members: readonly { readonly state: string; readonly status?: string }[];
  readonly ring: { readonly members: readonly unknown[] };
}

/**
 * Waits until every peer has joined and sees `count` living members that have, with the ready ones on the
 * ring: who was drained or disabled by an operator stays off it.
 */
export async function waitForMembers(
  adminUrls: readonly string[],
  count: number,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(adminUrls.map((url) => waitForOne(url, count, signal)));
}

async function waitForOne(adminUrl: string, count: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const response = await fetch(`${adminUrl}/status`, { signal });
    const seen = (await response.json()) as SeenCluster;
    if (isWhole(seen, count)) return;
    await pause(cliLimits.clusterPollMs, undefined, { signal });
  }
}

function isWhole({ state, members, ring }: SeenCluster, count: number): boolean {
  const living = members.filter((member) => member.state === 'alive');
  if (state === 'joining' || living.length !== count) return false;
  if (living.some(({ status = 'joining' }) => status === 'joining')) return false;
  return ring.members.length === living.filter(({ status }) => status === 'ready').length;
}
