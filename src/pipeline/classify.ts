import { isAnswerable, validateRequest, type Refusal, type SipMessage } from '../sip/index.ts';
import { acknowledgesOwnAnswer } from './answer.ts';

/** What becomes of a request that is not routed. */
export type Verdict =
  | { readonly kind: 'drop'; readonly reason: string }
  | { readonly kind: 'refuse'; readonly refusal: Refusal };

/**
 * Tells requests that may travel on from those that end here.
 *
 * @returns undefined when the request is to be routed
 */
export function classify(message: SipMessage): Verdict | undefined {
  if (!isAnswerable(message)) return { kind: 'drop', reason: 'unanswerable' };
  const refusal = validateRequest(message);
  if (refusal !== undefined) return { kind: 'refuse', refusal };
  const isOwnAck = message.method === 'ACK' && acknowledgesOwnAnswer(message);
  return isOwnAck ? { kind: 'drop', reason: 'own-ack' } : undefined;
}

/** CANCEL and ACK begin nothing: they belong where another request went (RFC 3261 sections 9.1, 17.1.1.3). */
export function followsAnother({ method }: SipMessage): boolean {
  return method === 'CANCEL' || method === 'ACK';
}
