import { setTimeout as pause } from 'node:timers/promises';
import { cliLimits } from '../config/defaults.ts';

/** The part of `/status` that tells whether a peer sees its cluster. */
interface SeenCluster {
  readonly state: string;
  readonly members: readonly { readonly state: string }[];
  readonly ring: { readonly members: readonly unknown[] };
}

/** Waits until every peer is ready and sees `count` living members, all on the ring. */
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
    const living = seen.members.filter((member) => member.state === 'alive').length;
    if (seen.state === 'ready' && living === count && seen.ring.members.length === count) return;
    await pause(cliLimits.clusterPollMs, undefined, { signal });
  }
}
