export * from './ring.ts';
