export { loadRules } from './load-rules.ts';
export type { LoadedRules } from './load-rules.ts';
