import { pipelineLimits } from '../config/defaults.ts';
import type { Assignment } from '../sip/index.ts';
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
 * disabled, even when the ring moved the key.
 *
 * @returns undefined when the stamped instance may not serve its sessions any more
 */
export function locateStamped(stamp: Stamp, view: ClusterView): Located | undefined {
  const status = view.instances.get(stamp.beroute)?.status;
  if (status === undefined || status === 'disabled') return undefined;
  return { kind: 'located', keyDigest: stamp.bekey, reason: 'stamp', instance: stamp.beroute };
}

/**
 * Where the sessions of an instance go that may not serve them any more: `bekey` chooses, the same
 * one at every peer.
 *
 * @param follows an ACK or CANCEL belongs to its instance even when that was just disabled
 */
export function locateHeir(stamp: Stamp, view: ClusterView, follows: boolean): Located {
  const { bekey: keyDigest, beroute } = stamp;
  if (follows && view.instances.has(beroute)) {
    return { kind: 'located', keyDigest, reason: 'stamp', instance: beroute };
  }
  const instance = view.ring.owner(keyDigest);
  return { kind: 'located', keyDigest, reason: 'stamp-key', instance };
}

/** A known transaction stays with its instance, whatever became of that, while it is there at all. */
export function locateKnown({ instance, keyDigest }: Assignment, view: ClusterView): Located {
  const serving = view.instances.has(instance) ? instance : view.ring.owner(keyDigest);
  return { kind: 'located', keyDigest, reason: 'memory', instance: serving };
}

/** The owner of the key on the ring. */
export function locateKey(key: Key, view: ClusterView): Located {
  const instance = view.ring.owner(key.digest);
  return { kind: 'located', keyDigest: key.digest, reason: key.reason, instance };
}

/** The next in turn of the ring's members; its successors are those of the digest. */
export function locateInTurn(keyDigest: string, view: ClusterView, turn: number): Located {
  const { members } = view.ring;
  const instance = members[turn % members.length]?.name;
  return { kind: 'located', keyDigest, reason: 'round-robin', instance };
}

/** Who serves in place of an instance that cannot be reached now: the next ones on the ring. */
export function successorsOf(located: Located, view: ClusterView): readonly string[] {
  const successors = view.ring.successors(located.keyDigest, pipelineLimits.candidatesMax);
  return successors
    .filter((name) => name !== located.instance)
    .slice(0, pipelineLimits.candidatesMax - 1);
}
