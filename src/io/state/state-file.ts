import { createHash } from 'node:crypto';

/** What a state file says beside the state. */
export interface StateOwner {
  readonly cluster: string;
  /** Name of the peer whose file it is. */
  readonly peer: string;
}

/** What was read, or why it could not be. */
export type StateFile =
  | { readonly ok: true; readonly owner: StateOwner; readonly state: Buffer }
  | { readonly ok: false; readonly fault: 'checksum' | 'format' };

const head =
  /^sailring-state 1\ncluster ([A-Za-z0-9._-]{1,64})\npeer ([A-Za-z0-9._-]{1,64})\nsha256 ([0-9a-f]{64})\n\n/;
/** Longer than any head. */
const headBytesMax = 512;

/**
 * A head of four lines, an empty line, the state:
 *
 *     sailring-state 1
 *     cluster blue
 *     peer peer-1
 *     sha256 <of cluster, peer and state>
 */
export function serializeStateFile(owner: StateOwner, state: Uint8Array): Buffer {
  const { cluster, peer } = owner;
  const sum = checksum(owner, state);
  const text = `sailring-state 1\ncluster ${cluster}\npeer ${peer}\nsha256 ${sum}\n\n`;
  return Buffer.concat([Buffer.from(text, 'latin1'), state]);
}

/** Reads what {@link serializeStateFile} made, and nothing else. */
export function parseStateFile(bytes: Buffer): StateFile {
  const found = head.exec(bytes.toString('latin1', 0, headBytesMax));
  if (found === null) return { ok: false, fault: 'format' };
  const [text, cluster = '', peer = '', sum] = found;
  const owner = { cluster, peer };
  const state = bytes.subarray(text.length);
  if (checksum(owner, state) !== sum) return { ok: false, fault: 'checksum' };
  return { ok: true, owner, state };
}

function checksum({ cluster, peer }: StateOwner, state: Uint8Array): string {
  return createHash('sha256').update(`${cluster}\n${peer}\n`).update(state).digest('hex');
}
