export { CatchUp, type AnnouncedState } from './catch-up.ts';
export { readClusterRules, type ClusterRules } from './cluster-rules.ts';
export {
  announcedDigest,
  ClusterState,
  instanceKey,
  type DecidedInstance,
  type Received,
} from './cluster-state.ts';
export type { StateFault } from './codec.ts';
export type { Entry, Version } from './entry.ts';
export { isWeight, readInstanceFlags, type InstanceFlags } from './instance-flags.ts';
export type { Json } from './json.ts';
export { judgeRules, RulesAgreement, type RulesRunner, type RulesVerdict } from './mixed-rules.ts';
export { readPolicy, type Policy } from './policy.ts';
export type { ChangeFault } from './state-map.ts';
