import { z } from 'zod';
import type { GossipConfig } from './config.ts';
import { configDefaults, gossipLimits } from './defaults.ts';
import { discovery, type DiscoverySettings } from './discovery-schema.ts';
import { hostPort, listen, network, secret, type SecretSource } from './values.ts';

/** Before secrets are read. */
export interface GossipSettings extends Omit<GossipConfig, 'discovery' | 'keys'> {
  readonly keys: readonly SecretSource[];
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
  keys: z
    .array(secret.describe('16, 24 or 32 bytes as base64: text, {file: path} or {env: NAME}'))
    .max(gossipLimits.keysMax)
    .default([])
    .describe(
      'the first encrypts, each decrypts; the same at all peers; without any, gossip is plain',
    ),
  allow: z
    .array(network)
    .max(gossipLimits.allowedSourcesMax)
    .default([])
    .describe('addresses and networks of the other peers; nothing else is read. Empty: all are'),
  label: z
    .boolean()
    .default(true)
    .describe(
      'packets carry the name of the cluster, and others are dropped; `false` lets serf agents join',
    ),
  insecure: z
    .boolean()
    .default(false)
    .describe('allows gossip off loopback without `keys`; only on a network of your own'),
  allowAlone: z
    .boolean()
    .default(true)
    .describe('a peer that reaches no seed becomes ready alone; it keeps trying'),
  discovery: discovery.prefault({}).describe('where further seeds are found while the peer runs'),
});
