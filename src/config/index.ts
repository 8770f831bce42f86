export type * from './config.ts';
export { applicationAddresses, applicationSources } from './application-addresses.ts';
export type { Problem } from './problem.ts';
export { formatProblem } from './problem.ts';
export type { ConfigResult } from './parse.ts';
export { loadConfig, parseConfig } from './parse.ts';
export type { ConfigWorld } from './resolve.ts';
export { configJsonSchema } from './schema.ts';
export { configReference } from './reference.ts';
