import { admissionLimits } from '../config/defaults.ts';

/**
 * Whether an answer of the peer itself is too large for a UDP source that nobody has verified: with a
 * forged source address it would make a small request into a larger flood for somebody else.
 */
export function isAmplifying(requestBytes: number, responseBytes: number): boolean {
  return responseBytes > requestBytes * admissionLimits.amplificationMax;
}
