import { isObject } from './json.ts';

/** What operators decided about one instance; it holds wherever and whenever that instance runs. */
export interface InstanceFlags {
  readonly status: 'enabled' | 'draining' | 'disabled';
  /** Share of the keys in place of the configured one: 0.1 to 100. */
  readonly weight?: number;
}

const names: readonly string[] = ['status', 'weight'];
const statuses: ReadonlySet<unknown> = new Set(['enabled', 'draining', 'disabled']);

/** Undefined for what is no {@link InstanceFlags}, e.g. of a later version. */
export function readInstanceFlags(value: unknown): InstanceFlags | undefined {
  if (!isObject(value) || Object.keys(value).some((name) => !names.includes(name)))
    return undefined;
  const { status, weight } = value;
  if (!statuses.has(status)) return undefined;
  const flags = { status: status as InstanceFlags['status'] };
  if (weight === undefined) return flags;
  return isWeight(weight) ? { ...flags, weight } : undefined;
}

/** Whether a number may be a weight; the same range as in the configuration. */
export function isWeight(value: unknown): value is number {
  return typeof value === 'number' && value >= 0.1 && value <= 100;
}
