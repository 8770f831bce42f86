import { isObject } from './json.ts';

/** What operators decided for all peers, in place of what their configurations say. */
export interface Policy {
  /** How an initial SIP request that no rule gives a key finds its instance. */
  readonly algorithm?: 'consistent-hash' | 'round-robin';
}

/** Undefined for what is no {@link Policy}. What a later version says beside it is left out. */
export function readPolicy(value: unknown): Policy | undefined {
  if (!isObject(value)) return undefined;
  const { algorithm } = value;
  if (algorithm === undefined) return {};
  if (algorithm !== 'consistent-hash' && algorithm !== 'round-robin') return undefined;
  return { algorithm };
}
