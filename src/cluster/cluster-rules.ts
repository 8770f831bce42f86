import { isObject } from './json.ts';

/** Rules that all peers run in place of their files. */
export interface ClusterRules {
  readonly format: 'xml';
  readonly text: string;
}

/** Undefined for what are no {@link ClusterRules}, e.g. those of a later version. */
export function readClusterRules(value: unknown): ClusterRules | undefined {
  if (!isObject(value)) return undefined;
  const { format, text } = value;
  return format === 'xml' && typeof text === 'string' ? { format, text } : undefined;
}
