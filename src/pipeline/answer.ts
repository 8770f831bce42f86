import { hash } from 'node:crypto';
import {
  buildResponse,
  Edits,
  parseSipMessage,
  type Refusal,
  type SipMessage,
} from '../sip/index.ts';
import type { Arrival } from './arrival.ts';
import { noteSource } from './rewrite.ts';

/** Begins the To tag of answers that the peer makes itself, so that their ACK is known again. */
const tagPrefix = 'sailring-';

/**
 * The stateless answer of the peer itself (RFC 3261 section 8.2.7): equal for every retransmission,
 * no memory kept.
 */
export function answerRequest(
  request: SipMessage,
  arrival: Arrival | undefined,
  refusal: Refusal,
): Buffer {
  return buildResponse(arrival === undefined ? request : withSource(request, arrival), {
    status: refusal.status,
    reason: refusal.reason,
    toTag: ownTag(request),
    ...(refusal.headers === undefined ? {} : { headers: refusal.headers }),
  });
}

/** Whether an ACK belongs to an answer of {@link answerRequest}: it ends here. */
export function acknowledgesOwnAnswer(ack: SipMessage): boolean {
  const { toTag } = ack;
  return toTag?.startsWith(tagPrefix) === true && toTag === ownTag(ack);
}

function ownTag(request: SipMessage): string {
  return tagPrefix + hash('sha256', request.callId, 'buffer').toString('base64url', 0, 9);
}

function withSource(request: SipMessage, arrival: Arrival): SipMessage {
  const via = request.topVia;
  if (via === undefined) return request;
  const edits = new Edits(request);
  noteSource(edits, via, arrival);
  const noted = parseSipMessage(edits.toBuffer());
  // A header at its limit has no room for the source; the flow is known without it.
  return noted.ok ? noted.message : request;
}
