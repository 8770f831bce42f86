import { z } from 'zod';
import type { GossipConfig } from './config.ts';
import { configDefaults, gossipLimits } from './defaults.ts';
import { discovery, type DiscoverySettings } from './discovery-schema.ts';
import { hostPort, listen } from './values.ts';

/** Before secrets are read. */
export interface GossipSettings extends Omit<GossipConfig, 'discovery'> {
  readonly discovery: DiscoverySettings;
}

export const gossip: z.ZodType<GossipSettings, Record<string, unknown>> = z.strictObject({
  listen: listen('127.0.0.1', configDefaults.gossipPort).describe('UDP and TCP address of gossip'),
  advertise: z
    .exactOptional(hostPort)
    .describe('host:port that other peers use; by default the address listened on'),
  seeds: z
    .array(hostPort)
    .max(gossipLimits.seedsMax)
    .default([])
    .describe('host:port of peers to join by; tried for ever'),
  profile: z
    .enum(['fast', 'lan', 'wan'])
    .default('fast')
    .describe('how fast failures are found: `fast` in about 3 s, `lan` in 6 s, `wan` slower still'),
  insecure: z
    .boolean()
    .default(false)
    .describe('allows gossip off loopback, which is not encrypted; only on a network of your own'),
  allowAlone: z
    .boolean()
    .default(true)
    .describe('a peer that reaches no seed becomes ready alone; it keeps trying'),
  discovery: discovery.prefault({}).describe('where further seeds are found while the peer runs'),
});
