import type { Counters } from './counters.ts';
import type { Envelope } from './envelope.ts';
import type { ClusterView } from './view.ts';

/**
 * How the ring that a request was decided by compares with the one here: the same; one that was in force
 * until lately, so its ingress peer is behind; one unknown here, so this peer may be the one behind.
 */
export type RingOpinion = 'same' | 'past' | 'unknown';

/**
 * Compares the rings of a request that came over a link, and counts where they differ. It is served all
 * the same: passing it on would let two peers that differ send it round.
 *
 * @param kind counted as `misroutes_served` where its key belongs to others here, by all rings known
 */
export function compareRings(
  envelope: Envelope,
  view: ClusterView,
  counters: Counters,
  kind: 'sip' | 'http',
): RingOpinion {
  const { ringVersion } = envelope;
  if (ringVersion === view.ring.version) return 'same';
  const isPast = view.pastRings.some(({ ring }) => ring.version === ringVersion);
  const opinion = isPast ? 'past' : 'unknown';
  counters.count('relayed_rings', opinion);
  if (isMisrouted(envelope, view)) counters.count('misroutes_served', kind);
  return opinion;
}

/** Only what its key brought here can have been brought here wrongly. */
function isMisrouted({ reason, keyDigest }: Envelope, view: ClusterView): boolean {
  const { self, ring, pastRings } = view;
  switch (reason) {
    case 'stamp-key':
    case 'rule':
    case 'plugin':
    case 'fallback':
      return (
        ring.owner(keyDigest) !== self &&
        pastRings.every((past) => past.ring.owner(keyDigest) !== self)
      );
    default:
      return false;
  }
}
