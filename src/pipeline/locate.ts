import { pipelineLimits } from '../config/defaults.ts';
import type { RoutingReason } from './envelope.ts';
import type { Key } from './key.ts';
import type { Stamp } from './stamp.ts';
import type { ClusterView } from './view.ts';

/** Who may serve a request, best first, and why the first one was chosen. */
export interface Located {
  readonly keyDigest: string;
  readonly reason: RoutingReason;
  /** Empty: there is no instance at all. */
  readonly candidates: readonly string[];
}

/**
 * Stickiness beats the ring: a stamped instance keeps its sessions while it lives and is not
 * disabled, even when the ring moved the key. Only when it is gone does `bekey` choose.
 *
 * @param keepsDisabled an ACK to a 2xx belongs to its instance even when that was just disabled
 */
export function locateStamped(stamp: Stamp, view: ClusterView, keepsDisabled: boolean): Located {
  const instance = view.instances.get(stamp.beroute);
  const successors = view.ring.successors(stamp.bekey, pipelineLimits.candidatesMax);
  if (instance === undefined || (instance.status === 'disabled' && !keepsDisabled)) {
    const others = successors.filter((name) => name !== stamp.beroute);
    return { keyDigest: stamp.bekey, reason: 'stamp-key', candidates: others };
  }
  const candidates = [stamp.beroute, ...successors.filter((name) => name !== stamp.beroute)];
  return { keyDigest: stamp.bekey, reason: 'stamp', candidates };
}

/** The owner of the key on the ring and its successors. */
export function locateKey(key: Key, view: ClusterView): Located {
  const candidates = view.ring.successors(key.digest, pipelineLimits.candidatesMax);
  return { keyDigest: key.digest, reason: key.reason, candidates };
}
