export * from './rules.ts';
export * from './subject.ts';
