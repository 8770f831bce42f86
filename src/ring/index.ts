export * from './change-batch.ts';
export * from './quorum.ts';
export * from './ramp-up.ts';
export * from './ring.ts';
