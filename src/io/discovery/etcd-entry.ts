import { z } from 'zod';
import { discoveryLimits } from '../../config/defaults.ts';
import { endpointText, parseSeed, type Seed } from '../../gossip/index.ts';
import type { RendezvousPeer } from './rendezvous.ts';

const entry = z.object({ endpoint: z.string(), epoch: z.number() });

/** Keys of a cluster's members begin with this. */
export function memberPrefix(prefix: string, cluster: string): string {
  return `${prefix}/${cluster}/members/`;
}

/** What stands under a peer's key. */
export function serializeEntry({ endpoint, epoch }: RendezvousPeer): string {
  return JSON.stringify({ endpoint: endpointText(endpoint), epoch });
}

/** Where the peer of an entry is; undefined when the text is no entry of ours. */
export function parseEntry(text: string): Seed | undefined {
  if (text.length > discoveryLimits.etcdEntryBytesMax) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return undefined;
  }
  const found = entry.safeParse(content);
  return found.success ? parseSeed(found.data.endpoint) : undefined;
}

/** etcd's JSON carries bytes as base64. */
export function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

export function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('utf8');
}
