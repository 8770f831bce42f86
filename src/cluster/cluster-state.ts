import { stateDigest, type StateFault } from './codec.ts';
import { clusterLimits } from '../config/defaults.ts';
import { readClusterRules, type ClusterRules } from './cluster-rules.ts';
import type { Entry } from './entry.ts';
import { readInstanceFlags, type InstanceFlags } from './instance-flags.ts';
import type { Json } from './json.ts';
import { readPolicy, type Policy } from './policy.ts';
import { StateMap, type ChangeFault } from './state-map.ts';

/** What came of taking in the state of another peer. */
export type Received =
  | { readonly kind: 'changed'; readonly keys: ReadonlySet<string> }
  | { readonly kind: 'known' }
  | { readonly kind: 'refused'; readonly fault: StateFault };

/** An instance that operators decided something about. */
export interface DecidedInstance {
  readonly name: string;
  readonly flags: InstanceFlags;
}

/** Rules, policy and instance flags as operators decided them, the same at all peers. */
export class ClusterState {
  readonly #self: string;
  readonly #map = new StateMap();
  /** Announced digests of states that were taken in, those of the past included. */
  readonly #seen = new Set<string>();

  /** @param self name of this peer, the author of its changes */
  constructor(self: string) {
    this.#self = self;
  }

  get clock(): number {
    return this.#map.clock;
  }

  /** Digest of all entries; what peers announce is {@link announcedDigest} of it. */
  get digest(): string {
    return this.#map.digest;
  }

  /** The whole state, for others and for the disk. */
  get bytes(): Buffer {
    return this.#map.bytes;
  }

  entries(): readonly Entry[] {
    return this.#map.entries();
  }

  /** Undefined: each peer runs those of its configuration. */
  get rules(): ClusterRules | undefined {
    return readClusterRules(this.#map.get('rules'));
  }

  get policy(): Policy {
    return readPolicy(this.#map.get('policy')) ?? {};
  }

  /** Undefined while nothing was decided about that instance. */
  instance(name: string): InstanceFlags | undefined {
    return readInstanceFlags(this.#map.get(instanceKey(name)));
  }

  /** All instances that something was decided about, by name. */
  instances(): readonly DecidedInstance[] {
    return this.#map.entries().flatMap(({ key, value }) => {
      const flags = key.startsWith('instance/') ? readInstanceFlags(value) : undefined;
      return flags === undefined ? [] : [{ name: key.slice('instance/'.length), flags }];
    });
  }

  /** Decides on a key. Undefined removes what was decided before. */
  setRules(rules: ClusterRules | undefined): ChangeFault | undefined {
    return this.#set('rules', rules && { ...rules });
  }

  setPolicy(policy: Policy | undefined): ChangeFault | undefined {
    return this.#set('policy', policy && { ...policy });
  }

  setInstance(name: string, flags: InstanceFlags | undefined): ChangeFault | undefined {
    return this.#set(instanceKey(name), flags && { ...flags });
  }

  /** Takes in the state of another peer or of a file; cheap for one that was taken in before. */
  receive(bytes: Uint8Array): Received {
    const announced = announcedDigest(stateDigest(bytes));
    if (this.includes(announced)) return { kind: 'known' };
    const before = this.digest;
    const merged = this.#map.merge(bytes);
    this.#remember(announced);
    if (!merged.ok) return { kind: 'refused', fault: merged.fault };
    this.#remember(announcedDigest(before));
    return merged.changed.size === 0
      ? { kind: 'known' }
      : { kind: 'changed', keys: merged.changed };
  }

  /**
   * Whether a peer that announces this digest has nothing new: its state is part of this one. So is one
   * that was refused, which asking again would not change.
   */
  includes(announced: string): boolean {
    return announced === announcedDigest(this.digest) || this.#seen.has(announced);
  }

  #set(key: string, value: Json | undefined): ChangeFault | undefined {
    this.#remember(announcedDigest(this.digest));
    return this.#map.set(key, value, this.#self);
  }

  #remember(announced: string): void {
    this.#seen.delete(announced);
    this.#seen.add(announced);
    if (this.#seen.size <= clusterLimits.digestsRemembered) return;
    for (const oldest of this.#seen) {
      this.#seen.delete(oldest);
      return;
    }
  }
}

/** What a peer announces of a digest: room in its tags is short. */
export function announcedDigest(digest: string): string {
  return digest.slice(0, 8);
}

/** Key of what was decided about an instance. */
export function instanceKey(name: string): string {
  return `instance/${name}`;
}
