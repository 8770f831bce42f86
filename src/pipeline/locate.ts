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
  /** It begins something: suspect instances are its last choice. */
  readonly isNew: boolean;
  /**
   * The owner of its key is suspect, or was so lately: until then other peers may decide differently.
   * `Infinity`: it is suspect, and was passed over where another is left. 0: nobody doubts it.
   */
  readonly doubtedUntilMs: number;
}

/** Of what belongs to something: it goes where that is, suspect or not. */
export function locatedBy(
  reason: RoutingReason,
  keyDigest: string,
  instance: string | undefined,
): Located {
  return { kind: 'located', keyDigest, reason, instance, isNew: false, doubtedUntilMs: 0 };
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
  return locatedBy('stamp', stamp.bekey, stamp.beroute);
}

/**
 * Where the sessions of an instance go that may not serve them any more: `bekey` chooses, the same
 * one at every peer.
 *
 * @param follows an ACK or CANCEL belongs to its instance even when that was just disabled
 */
export function locateHeir(stamp: Stamp, view: ClusterView, follows: boolean): Located {
  const { bekey: keyDigest, beroute } = stamp;
  if (follows && view.instances.has(beroute)) return locatedBy('stamp', keyDigest, beroute);
  return locatedBy('stamp-key', keyDigest, view.ring.owner(keyDigest));
}

/** A known transaction stays with its instance, whatever became of that, while it is there at all. */
export function locateKnown({ instance, keyDigest }: Assignment, view: ClusterView): Located {
  const serving = view.instances.has(instance) ? instance : view.ring.owner(keyDigest);
  return locatedBy('memory', keyDigest, serving);
}

/** The owner of the key on the ring. */
export function locateKey(key: Key, view: ClusterView): Located {
  return locatedBy(key.reason, key.digest, view.ring.owner(key.digest));
}

/** Who begins what is new: the owner of the key, or the first of its successors that is not suspect. */
export function locateNew({ digest, reason }: Key, view: ClusterView): Located {
  const owner = view.ring.owner(digest);
  const doubtedUntilMs =
    owner === undefined || view.doubts.size === 0 ? 0 : (view.doubts.get(owner) ?? 0);
  const instance = doubtedUntilMs === Infinity ? trustedFirst(digest, view)[0] : owner;
  return { kind: 'located', keyDigest: digest, reason, instance, isNew: true, doubtedUntilMs };
}

/** The next in turn of the ring's members, suspect ones last; its successors are those of the digest. */
export function locateInTurn(keyDigest: string, view: ClusterView, turn: number): Located {
  const { members } = view.ring;
  let instance = members[turn % members.length]?.name;
  for (let passed = 0; passed < members.length && isSuspect(instance, view); passed++) {
    instance = members[(turn + 1 + passed) % members.length]!.name;
  }
  const reason = 'round-robin';
  return { kind: 'located', keyDigest, reason, instance, isNew: true, doubtedUntilMs: 0 };
}

/**
 * Who serves in place of an instance that cannot be reached now: the next ones on the ring. A peer that
 * reaches none of them still has its own instance for what is new; what belongs to something is better
 * refused than brought where nobody knows it.
 */
export function successorsOf(located: Located, view: ClusterView): readonly string[] {
  const { keyDigest, instance, isNew } = located;
  const avoids = isNew && view.doubts.size > 0;
  const successors = avoids
    ? trustedFirst(keyDigest, view)
    : view.ring.successors(keyDigest, pipelineLimits.candidatesMax);
  const others = successors
    .filter((name) => name !== instance)
    .slice(0, pipelineLimits.candidatesMax - 1);
  const isOwnLeft = isNew && instance !== view.self && !others.includes(view.self);
  const isOwnReady = view.instances.get(view.self)?.status === 'ready';
  return isOwnLeft && isOwnReady ? [...others, view.self] : others;
}

/** As many in ring order as may be tried, the suspect ones behind the others. */
export function trustedFirst(
  keyDigest: string,
  view: ClusterView,
  count: number = pipelineLimits.candidatesMax,
): readonly string[] {
  const successors = view.ring.successors(keyDigest, count + view.doubts.size);
  const trusted = successors.filter((name) => !isSuspect(name, view));
  if (trusted.length >= count) return trusted.slice(0, count);
  const suspects = successors.filter((name) => isSuspect(name, view));
  return [...trusted, ...suspects].slice(0, count);
}

/** Whether gossip suspects an instance now; it is on the ring all the same. */
export function isSuspect(name: string | undefined, { doubts }: ClusterView): boolean {
  return name !== undefined && doubts.size > 0 && doubts.get(name) === Infinity;
}
