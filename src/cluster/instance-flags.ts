import { isObject } from './json.ts';

/** What operators decided about one instance; it holds wherever and whenever that instance runs. */
export interface InstanceFlags {
  readonly status: 'enabled' | 'draining' | 'disabled';
  /** Share of the keys in place of the configured one: 0.1 to 100. */
  readonly weight?: number;
  /** How long a disabled instance serves what it has begun; by default 64 times T1. */
  readonly quiesceMs?: number;
}

const quiesceMsMax = 86_400_000;
const statuses: ReadonlySet<unknown> = new Set(['enabled', 'draining', 'disabled']);

/** Undefined for what are no {@link InstanceFlags}. What a later version says beside them is left out. */
export function readInstanceFlags(value: unknown): InstanceFlags | undefined {
  if (!isObject(value)) return undefined;
  const { status, weight, quiesceMs } = value;
  if (!statuses.has(status)) return undefined;
  if (weight !== undefined && !isWeight(weight)) return undefined;
  if (quiesceMs !== undefined && !isQuiesceMs(quiesceMs)) return undefined;
  return {
    status: status as InstanceFlags['status'],
    ...(weight === undefined ? {} : { weight }),
    ...(quiesceMs === undefined ? {} : { quiesceMs }),
  };
}

/** Whether a number may be a weight; the same range as in the configuration. */
export function isWeight(value: unknown): value is number {
  return typeof value === 'number' && value >= 0.1 && value <= 100;
}

function isQuiesceMs(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= quiesceMsMax;
}
