import {
  buildResponse,
  Edits,
  parseSipMessage,
  type Refusal,
  type SipMessage,
} from '../sip/index.ts';
import type { Arrival } from './arrival.ts';
import type { ResponseTarget } from './return-response.ts';
import { noteSource } from './rewrite.ts';
import { sha256Of16 } from './sha256.ts';

/** Begins the To tag of answers that the peer makes itself, so that their ACK is known again. */
const tagPrefix = 'sr-';
/** Of the digest; short, so that the answer to a short request stays short. */
const tagCharacters = 11;

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

/**
 * {@link answerRequest} with the place where it goes (RFC 3261 section 18.2.2, RFC 3581 section 4).
 *
 * @returns undefined when the request has no usable Via
 */
export function answerTarget(
  request: SipMessage,
  arrival: Arrival,
  refusal: Refusal,
): ResponseTarget | undefined {
  const response = parseSipMessage(answerRequest(request, arrival, refusal));
  const via = response.ok ? response.message.topVia : undefined;
  if (!response.ok || via === undefined) return undefined;
  const { transport, address } = arrival;
  const followsRport = transport === 'UDP' && via.rport !== undefined;
  const port = followsRport ? arrival.port : (via.port ?? 5060);
  return { message: response.message.bytes, transport, address, port };
}

/** Whether an ACK belongs to an answer of {@link answerRequest}: it ends here. */
export function acknowledgesOwnAnswer(ack: SipMessage): boolean {
  const { toTag } = ack;
  return toTag?.startsWith(tagPrefix) === true && toTag === ownTag(ack);
}

function ownTag(request: SipMessage): string {
  return tagPrefix + sha256Of16(request.callId).slice(0, tagCharacters);
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
