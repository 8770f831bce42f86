import { protocolVersion } from './frame.ts';
import type { HelloFrame } from './frame.ts';
import type { LinkPeer } from './link.ts';

/** Why a hello is not accepted. Literals: they are reasons of a counter. */
export type HelloFault =
  'wrong_cluster' | 'wrong_protocol' | 'not_a_member' | 'stale_epoch' | 'certificate' | 'bad_hello';

/**
 * Checks who speaks. `member` is the peer of that name as membership knows it; a newer epoch than
 * known is a restart that membership has not told yet. `isNamed` tells whether the certificate names
 * a peer; on plaintext links it is always true.
 */
export function checkHello(
  hello: HelloFrame,
  cluster: string,
  member: LinkPeer | undefined,
  isNamed: (peer: string) => boolean,
): HelloFault | undefined {
  if (hello.protocol !== protocolVersion) return 'wrong_protocol';
  if (hello.cluster !== cluster) return 'wrong_cluster';
  if (hello.windowBytes === 0) return 'bad_hello';
  if (!isNamed(hello.peer)) return 'certificate';
  if (hello.peer !== member?.name) return 'not_a_member';
  return hello.epoch < member.epoch ? 'stale_epoch' : undefined;
}
