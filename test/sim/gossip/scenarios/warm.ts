import { gossipProfiles, type GossipProfile } from '../../../../src/config/defaults.ts';
import { GossipNetwork } from '../network.ts';

/** The profile of a run, with what a control run switches off. */
export interface ProfileChoice {
  /** `fast` by default. */
  readonly profile?: 'fast' | 'lan' | 'wan';
  readonly changes?: Partial<GossipProfile>;
}

/** What every peer of the product says of itself at least; its size counts in the traffic. */
export const tags: Readonly<Record<string, string>> = { epoch: '1767225600' };
export const label = 'sailring';

export function profileOf({ profile, changes }: ProfileChoice): GossipProfile {
  return { ...gossipProfiles[profile ?? 'fast'], ...changes };
}

/** A cluster at rest: `size` peers that know each other, at a random moment of their rounds. */
export function warmCluster(
  choice: ProfileChoice & {
    readonly size: number;
    readonly seed: number;
    /** Names that join later. */
    readonly spare?: number;
  },
): GossipNetwork {
  const { size, seed } = choice;
  const profile = profileOf(choice);
  const network = new GossipNetwork({ seed, profile, namesMax: size + (choice.spare ?? 0) });
  network.warm(
    Array.from({ length: size }, (_, i) => `peer-${i + 1}`),
    { label, tags, keepsRecords: false },
  );
  // Long enough that the news of the start is told, and no two seeds stop at the same point of a round.
  network.run(2_000 + network.random() * 2 * profile.probeIntervalMs);
  return network;
}
