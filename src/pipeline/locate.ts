import { pipelineLimits } from '../config/defaults.ts';
import type { RoutingReason } from './envelope.ts';
import type { Key } from './key.ts';
import type { Stamp } from './stamp.ts';
import type { ClusterView } from './view.ts';

/** Who should serve a request, and why. */
export interface Located {
  readonly kind: 'located';
  readonly keyDigest: string;
  readonly reason: RoutingReason;
  /** Undefined: there is no instance at all. */
  readonly instance: string | undefined;
}

/**
 * Stickiness beats the ring: a stamped instance keeps its sessions while it lives and is not
 * disabled, even when the ring moved the key. Only when it is gone does `bekey` choose.
 *
 * @param keepsDisabled an ACK to a 2xx belongs to its instance even when that was just disabled
 */
export function locateStamped(stamp: Stamp, view: ClusterView, keepsDisabled: boolean): Located {
  const instance = view.instances.get(stamp.beroute);
  const keyDigest = stamp.bekey;
  if (instance === undefined || (instance.status === 'disabled' && !keepsDisabled)) {
    return {
      kind: 'located',
      keyDigest,
      reason: 'stamp-key',
      instance: view.ring.owner(keyDigest),
    };
  }
  return { kind: 'located', keyDigest, reason: 'stamp', instance: stamp.beroute };
}

/** The owner of the key on the ring. */
export function locateKey(key: Key, view: ClusterView): Located {
  const instance = view.ring.owner(key.digest);
  return { kind: 'located', keyDigest: key.digest, reason: key.reason, instance };
}

/** Who serves in place of an instance that cannot be reached now: the next ones on the ring. */
export function successorsOf(located: Located, view: ClusterView): readonly string[] {
  const successors = view.ring.successors(located.keyDigest, pipelineLimits.candidatesMax);
  return successors
    .filter((name) => name !== located.instance)
    .slice(0, pipelineLimits.candidatesMax - 1);
}
