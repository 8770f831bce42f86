import type { SipMessage } from './message.ts';
import type { Via } from './via.ts';

const magicCookie = 'z9hG4bK';
const separator = '\n';

/**
 * Whether the branch alone tells transactions apart (RFC 3261 section 17.2.3): it starts with the
 * cookie and says something after it (RFC 4475 section 3.2.1 has one that does not).
 */
export function hasMagicCookie(via: Via): boolean {
  const { branch } = via;
  return (
    branch !== undefined && branch.length > magicCookie.length && branch.startsWith(magicCookie)
  );
}

/**
 * The key under which a request finds its server transaction (RFC 3261 section 17.2.3). `method` is
 * the request's own, or INVITE for an ACK or CANCEL that looks for its INVITE. Only sent-by and
 * branch of the top Via count: a retransmission may enter at another peer, whose other Via
 * parameters differ.
 */
export function transactionKey(request: SipMessage, via: Via, method: string): string {
  const sentBy = via.sentBy.toLowerCase();
  if (hasMagicCookie(via)) {
    return [via.branch, sentBy, method].join(separator);
  }
  // The To tag is left out: the ACK has one that the INVITE had not. CSeq keeps re-INVITEs apart.
  return [
    '2543',
    via.branch ?? '',
    sentBy,
    method,
    request.requestUri,
    request.callId,
    request.fromTag ?? '',
    request.cseqNumber,
  ].join(separator);
}

/**
 * The key under which an ACK to a 2xx finds the INVITE that it acknowledges (RFC 3261 section
 * 13.2.2.4: a transaction of its own, with the CSeq number of the INVITE). `localTag` is the tag
 * that the 2xx has in To.
 */
export function acknowledgementKey(request: SipMessage, localTag: string): string {
  return [request.callId, request.fromTag ?? '', localTag, request.cseqNumber].join(separator);
}

/**
 * The key under which a request outside dialogs finds a copy of itself that came another way (RFC 3261
 * section 8.2.2.2). Undefined inside dialogs, where the To tag tells copies of a forked request apart,
 * and for clients of RFC 2543 without From tag.
 */
export function mergeKey(request: SipMessage): string | undefined {
  const { fromTag } = request;
  if (fromTag === undefined || request.toTag !== undefined) return undefined;
  return [request.callId, fromTag, request.cseqNumber, request.method].join(separator);
}
