import { isObject } from './json.ts';

/** What operators decided for all peers, in place of what their configurations say. */
export interface Policy {
  /** How an initial SIP request that no rule gives a key finds its instance. */
  readonly algorithm?: 'consistent-hash' | 'round-robin';
}

/** Undefined for what is no {@link Policy}, e.g. of a later version. */
export function readPolicy(value: unknown): Policy | undefined {
  if (!isObject(value) || Object.keys(value).some((name) => name !== 'algorithm')) return undefined;
  const { algorithm } = value;
  if (algorithm === undefined) return {};
  if (algorithm !== 'consistent-hash' && algorithm !== 'round-robin') return undefined;
  return { algorithm };
}
