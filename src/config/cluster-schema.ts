import { z } from 'zod';
import type { ClusterConfig, RampUpConfig } from './config.ts';
import { clusterDefaults, configDefaults } from './defaults.ts';
import { milliseconds, nameText } from './values.ts';

export const cluster: z.ZodType<ClusterConfig, Record<string, unknown>> = z.strictObject({
  name: nameText
    .default(configDefaults.clusterName)
    .describe('name of the cluster; peers of another name are refused'),
  minority: z
    .enum(['serve', 'unready'])
    .default('serve')
    .describe(
      'what a peer that lost more than half of the others at once does: `unready` says so to the sprayer',
    ),
  mixedRulesGraceMs: milliseconds(0, 3_600_000)
    .default(clusterDefaults.mixedRulesGraceMs)
    .describe('a peer that runs other rules than the cluster for longer is not ready'),
});

export const rampUp: z.ZodType<RampUpConfig, Record<string, unknown>> = z.strictObject({
  loadIncreaseFactor: z
    .number()
    .min(0.01)
    .max(1)
    .default(1)
    .describe('part of its weight with which an instance begins, and which each period adds'),
  periodMs: milliseconds(0, 3_600_000)
    .default(0)
    .describe('time between two steps; 0 gives the whole share at once'),
});
