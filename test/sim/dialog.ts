import { HeaderId, parseNameAddress, routeValues, type SipMessage } from '../../src/sip/index.ts';

/** What one side of a call must know to write its next request (RFC 3261 section 12). */
export interface Dialog {
  readonly callId: string;
  readonly localTag: string;
  readonly remoteTag: string;
  /** `<uri>` without tag. */
  readonly local: string;
  readonly remote: string;
  /** Contact of the other side. */
  readonly remoteTarget: string;
  /** In the order in which requests bear them. */
  readonly routes: readonly string[];
  /** CSeq of the last request that this side sent. */
  cseq: number;
}

/** Name of a dialog at one of its sides. */
export function dialogName(callId: string, localTag: string, remoteTag: string): string {
  return `${callId} ${localTag} ${remoteTag}`;
}

/** The dialog that a response made for the caller. */
export function dialogOfResponse(response: SipMessage, cseq: number): Dialog {
  return {
    callId: response.callId,
    localTag: response.fromTag ?? '',
    remoteTag: response.toTag ?? '',
    local: bare(response.header('From')),
    remote: bare(response.header('To')),
    remoteTarget: contactOf(response),
    routes: recordRoutes(response).toReversed(),
    cseq,
  };
}

/** The dialog that a request made for the called. */
export function dialogOfRequest(request: SipMessage, localTag: string): Dialog {
  return {
    callId: request.callId,
    localTag,
    remoteTag: request.fromTag ?? '',
    local: bare(request.header('To')),
    remote: bare(request.header('From')),
    remoteTarget: contactOf(request),
    routes: recordRoutes(request),
    cseq: 0,
  };
}

/** Record-Route values in the order of the message. */
export function recordRoutes(message: SipMessage): string[] {
  return routeValues(message, HeaderId.recordRoute).map((value) => value.text);
}

function contactOf(message: SipMessage): string {
  return parseNameAddress(message.header('Contact') ?? '')?.uri ?? '';
}

function bare(value: string | undefined): string {
  return `<${parseNameAddress(value ?? '')?.uri ?? ''}>`;
}
