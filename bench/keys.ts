import { digestOf } from '../src/pipeline/key.ts';
import { createRing } from '../src/ring/index.ts';

const ring = createRing([
  { name: 'entry', weight: 1 },
  { name: 'owner', weight: 1 },
]);

/** More than all caches of a peer remember, so that a dialog's key is never found in one. */
const dialogCount = 65_536;
const userCount = 4_096;

/**
 * Identities of SIP dialogs, a line each: Call-ID and From tag. A Call-ID begins with the number of
 * its line, by which the load program finds it. All keys belong to the peer `owner` of the ring
 * {entry, owner}, so that with two peers every packet crosses the link; to all other subjects they
 * are identities like any.
 */
export function dialogIdentities(): string {
  const lines: string[] = [];
  for (let salt = 0; lines.length < dialogCount; salt++) {
    const callId = `${lines.length.toString(16).padStart(8, '0')}-${salt}@127.0.0.1`;
    const fromTag = `caller${salt}`;
    if (belongsToOwner(`${fromTag}\n${callId}`)) lines.push(`${callId} ${fromTag}\n`);
  }
  return lines.join('');
}

/** Names of users for HTTP requests, a line each; all belong to the peer `owner`. */
export function users(): string {
  const lines: string[] = [];
  for (let number = 0; lines.length < userCount; number++) {
    if (belongsToOwner(`user${number}`)) lines.push(`user${number}\n`);
  }
  return lines.join('');
}

function belongsToOwner(key: string): boolean {
  return ring.owner(digestOf(key)) === 'owner';
}
