export { loadRules, readRules, rulesDigest } from './load-rules.ts';
export type { LoadedRules } from './load-rules.ts';
export { readRulesText, rulesText } from './rules-text.ts';
