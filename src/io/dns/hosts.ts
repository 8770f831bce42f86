import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { parseDnsName } from './dns-name.ts';

/** Names of a hosts file with their addresses, in the order of the file. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/);
    if (isIP(address) === 0) continue;
    for (const word of names) {
      const name = parseDnsName(word);
      if (name === undefined) continue;
      const addresses = hosts.get(name) ?? [];
      if (!addresses.includes(address)) addresses.push(address);
      hosts.set(name, addresses);
    }
  }
  return hosts;
}

/** The machine's own hosts file; empty where there is none. */
export function readHosts(path = '/etc/hosts'): ReadonlyMap<string, readonly string[]> {
  try {
    return parseHosts(readFileSync(path, 'utf8'));
  } catch (error) {
    // A container may have none.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
}
