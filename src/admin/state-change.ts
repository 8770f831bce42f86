import type { ChangeFault } from '../cluster/index.ts';
import { clusterLimits } from '../config/defaults.ts';
import { json, type Answer } from './route.ts';

/** What came of a change of what all peers share. */
export type ChangeOutcome =
  | {
      readonly ok: true;
      /** Whether this peer has it on its disk; it goes to the others in any case. */
      readonly stored: 'disk' | 'memory' | 'failed';
    }
  | { readonly ok: false; readonly fault: RefusedChange };

/** `joining`: the peer may not know yet what the change is to go over. */
export type RefusedChange = ChangeFault | 'joining';

/** How far the state of the cluster has come at this peer. */
export interface StateVersion {
  /** The highest version of any decision; 0 while there was none. */
  readonly clock: number;
  /** The same at all peers that know the same. */
  readonly digest: string;
}

const faults: Readonly<Record<RefusedChange, string>> = {
  'entries-full': `the state of the cluster has ${clusterLimits.entriesMax} entries, removed ones included; change one of those`,
  'bytes-full': `the state of the cluster would be larger than ${clusterLimits.stateBytesMax} bytes; use smaller rules`,
  'clock-full':
    'the clock of the cluster state is at its end; stop all peers and remove their state files',
  joining:
    'this peer is still joining, and its changes might lose against decisions that it does not know yet; ask another peer, or again when it has joined',
};

/** Says what came of a change, `more` with it. */
export function changeAnswer(
  outcome: ChangeOutcome,
  version: StateVersion,
  more: Readonly<Record<string, unknown>> = {},
): Answer {
  if (!outcome.ok) {
    const status = outcome.fault === 'joining' ? 503 : 507;
    return json(status, { error: faults[outcome.fault] });
  }
  return json(200, { ...more, ...version, stored: outcome.stored });
}

/** The body of a request, or undefined when it is no JSON object. */
export function objectOf(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
