import { discoveryLimits } from '../../config/defaults.ts';
import { endpointText, type Seed } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { EngineHealth, type DiscoveryLog } from './engine-health.ts';
import { backoffMs, pause } from './pause.ts';
import type { Outcome, RendezvousPeer } from './rendezvous.ts';

export interface PollingOptions {
  /** Names the counters `discovery_<engine>_polls`: done, alone, failed. */
  readonly engine: 'dns' | 'etcd';
  readonly self: RendezvousPeer;
  readonly pollIntervalMs: number;
  /** Asks once; bounded in time by itself. */
  readonly look: (signal: AbortSignal) => Promise<Outcome<readonly Seed[]>>;
  readonly counters: Counters;
  readonly log: DiscoveryLog;
}

/**
 * Asks an engine again and again until `signal` aborts. A peer that found nobody but itself asks
 * sooner: two that start together may both have looked before the other was listed.
 */
export async function* pollSeeds(
  options: PollingOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly Seed[], void, void> {
  const { engine, self, look, counters, log, pollIntervalMs } = options;
  const health = new EngineHealth(engine, 'discovery', log);
  const own = endpointText(self.endpoint);
  let inVain = 0;
  for (;;) {
    const found = await look(signal);
    if (signal.aborted) return;
    const isAlone =
      found.ok &&
      found.value.every(({ host, port }) => endpointText({ address: host, port }) === own);
    counters.count(`discovery_${engine}_polls`, pollReason(found.ok, isAlone));
    inVain = found.ok && !isAlone ? 0 : inVain + 1;
    if (found.ok) {
      health.answered();
      const seeds = found.value.slice(0, discoveryLimits.seedsMax);
      const above = found.value.length - seeds.length;
      if (above > 0) counters.count('discovery_drops', 'full', above);
      yield seeds;
    } else {
      health.failed(found.fault);
    }
    // Peers that started together shall not ask together for ever.
    const wait =
      inVain === 0
        ? pollIntervalMs * (0.75 + Math.random() / 4)
        : backoffMs(inVain, discoveryLimits.backoffMinMs, pollIntervalMs);
    await pause(wait, signal);
  }
}

function pollReason(isAnswered: boolean, isAlone: boolean): 'done' | 'alone' | 'failed' {
  if (!isAnswered) return 'failed';
  return isAlone ? 'alone' : 'done';
}
