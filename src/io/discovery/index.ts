export { createDiscovery } from './create-discovery.ts';
export type { ConfiguredDiscoveryOptions } from './create-discovery.ts';
export type { Discovery } from './discovery.ts';
export type { Rendezvous, RendezvousPeer } from './rendezvous.ts';
